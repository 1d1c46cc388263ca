"""A sweep or a run as it goes on, from its journals alone."""
