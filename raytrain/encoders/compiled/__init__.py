"""Loops over local features that numba compiles (the extra `fast`); their callers have a path without it."""
