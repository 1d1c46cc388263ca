"""The loop and what it needs: embeddings across ranks, schedule, checkpoints."""
