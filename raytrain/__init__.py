"""Train and search ambiguous cross-modal retrieval methods on a cluster. Importing does nothing else."""

__version__ = "0.1.0"
