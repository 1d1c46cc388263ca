"""Encoding: the features of a frozen backbone, computed and added to a table."""
