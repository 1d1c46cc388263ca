"""Published evaluations by name: what is ranked against what, and what the numbers are divided by."""
