"""An index: the embeddings of a table on disk, and candidates from which an exact answer is proved."""
