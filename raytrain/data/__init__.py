"""From data set files to batches: sources, the table, encoding, batches."""
