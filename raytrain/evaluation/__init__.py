"""Evaluation: ranks, recalls, protocols, re-ranking and intervals; tensors in, numbers out."""
