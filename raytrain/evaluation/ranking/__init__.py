"""Ranks by counting, and the recalls made of them."""

from raytrain.evaluation.ranking.counts import ranks

__all__ = ["ranks"]
