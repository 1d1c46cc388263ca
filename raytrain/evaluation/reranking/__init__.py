"""Re-ranking: Fast Re-ranking, its banks of training queries, and the re-ranking of MTFN to compare with."""

from raytrain.evaluation.reranking.fast_reranking import fast_rerank

__all__ = ["fast_rerank"]
