"""`raytrain doctor`: checks what a sweep depends on, on this machine and on every node."""
