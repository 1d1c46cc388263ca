"""Similarities between queries and gallery items, as pure functions of embeddings."""

from raytrain.similarity.assignment import best_assignment, top_pairs
from raytrain.similarity.closest import closest_elements
from raytrain.similarity.functions import (
    chamfer,
    closed_form_sampled_distance,
    cosine,
    element_cosines,
    log_match_probability,
    match_logits,
    match_probability,
    max_similarity,
    order,
    pool_views,
    smooth_chamfer,
    squared_distances,
    view_similarity,
)
from raytrain.similarity.local_features import (
    EPS,
    attended_cosine,
    attention,
    attention_weights,
    cross_attention,
    mean_over,
    real_rows,
    widened,
)

__all__ = [
    "EPS",
    "attended_cosine",
    "attention",
    "attention_weights",
    "best_assignment",
    "chamfer",
    "closed_form_sampled_distance",
    "closest_elements",
    "cosine",
    "cross_attention",
    "element_cosines",
    "log_match_probability",
    "match_logits",
    "match_probability",
    "max_similarity",
    "mean_over",
    "order",
    "pool_views",
    "real_rows",
    "smooth_chamfer",
    "squared_distances",
    "top_pairs",
    "view_similarity",
    "widened",
]
