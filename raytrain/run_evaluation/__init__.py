"""What is done to a finished run: evaluate, re-rank, diagnose."""
