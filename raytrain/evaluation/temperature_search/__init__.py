"""Temperature search: hundreds of re-ranking settings evaluated on one similarity matrix, in one process."""
