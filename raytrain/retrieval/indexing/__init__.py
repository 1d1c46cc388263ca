"""Making and updating an index of a table with a run."""
