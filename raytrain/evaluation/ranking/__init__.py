"""Ranking: ranks by counting, and the recalls and precisions computed from them."""

from raytrain.evaluation.ranking.counts import ranks

__all__ = ["ranks"]
