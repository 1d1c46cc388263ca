"""`raytrain submit`: packs, checks and sends a job to a cluster, and follows it to its exit code."""
