"""Loading of tables: readers of features, captions and pixels, and the batches for training and evaluation."""
