"""From a table to batches: readers of features, captions and pixels, and the batches that training sees."""
