"""Protocols: published evaluations by name, each with its queries, gallery, positives and denominators."""
