"""The search of re-ranking temperatures over one similarity matrix: hundreds of settings in one process."""
