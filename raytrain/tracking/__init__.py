"""What is recorded about a run: the journal is the truth, and MLflow mirrors it."""
