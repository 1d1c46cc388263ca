"""Checks of a finished table: its files, references, features, composed queries and images."""
