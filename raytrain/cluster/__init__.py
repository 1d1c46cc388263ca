"""What runs on Ray: joining and checking a cluster, training, encoding and evaluating on it, submitting jobs to it."""
