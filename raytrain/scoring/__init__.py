"""A model over a split: embeddings, scores tile by tile, validation metrics and published protocols."""
