"""Fast Re-ranking, the search of its temperatures, and what it is compared with."""

from raytrain.evaluation.reranking.fast_reranking import fast_rerank

__all__ = ["fast_rerank"]
