"""What studies measure of trained runs beyond their validation metrics."""
