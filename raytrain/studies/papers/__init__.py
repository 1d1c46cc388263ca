"""The studies of each paper; a module per paper, a function per study."""
