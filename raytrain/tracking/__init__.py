"""What is written down about a run: the journal is the truth, MLflow mirrors it."""
