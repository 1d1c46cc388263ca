"""The validation of an epoch: its metrics, and whether it is the best one so far."""

from __future__ import annotations

import math
import time

from raytrain.data.table import AnySplit, QuerySplit
from raytrain.distributed import any_rank, rank
from raytrain.errors import NonFiniteError, UsageError
from raytrain.scoring.embed import embed_split, query_uncertainty
from raytrain.scoring.feed import Feed
from raytrain.scoring.validate import diagnostics, validation_metrics
from raytrain.training.similarity_cache import keep_similarity
from raytrain.training.train_state import TrainState


def validate(state: TrainState, split: AnySplit, feed: Feed) -> dict[str, float]:
    """Metrics of the epoch that ended: of validation, of its training and its cost (rank 0; empty elsewhere).

    Every rank calls this and embeds its share of the split; rank 0 makes the scores. `state.best` follows, and the
    similarities of the best epoch are kept in the run's folder where `evaluation.keep_similarity` asks for them.

    Args:
        state: the averaged weights are evaluated, where the run averages.
        split: for validation.
        feed: readers of its table.

    Raises:
        NonFiniteError: on all ranks, when a similarity is not finite; the selection metric is not.
        UsageError: `evaluation.select` is no metric of this table.
    """
    started = time.monotonic()
    config = state.config.evaluation
    result = None
    finite = True
    with state.averaged_weights():
        query, gallery = embed_split(state.model, split, feed, state.device)
        if rank() == 0:
            try:
                result = validation_metrics(
                    state.model, query, gallery, split, config.memory_mib, config.keep_similarity
                )
            except NonFiniteError:
                finite = False
        uncertainty = query_uncertainty(state.model, split, feed, state.device)
    state.count_seconds(started)
    # rank 0 alone makes the scores; all stop together
    if any_rank(not finite):
        raise NonFiniteError(f"epoch {state.epoch}: the validation similarities are not finite; check the features")
    if result is None:
        return {}

    metrics = {f"val/{name}": value for name, value in result.metrics.items()} | state.train_metrics
    metrics |= diagnostics(state.model, result.ranks, query, gallery, uncertainty, split)
    metrics["cost/worker_seconds"] = state.worker_seconds
    metrics["cost/index_bytes"] = float(4 * gallery[0].numel())  # one image's embedding in float32
    metrics["cost/gpu_seconds"] = state.worker_seconds if state.device.type == "cuda" else 0.0

    selected = metrics.get(config.select)
    if selected is None:
        raise UsageError(
            f"evaluation.select={config.select} is no metric of this table; it has "
            f"{', '.join(name for name in metrics if name.startswith('val/'))}"
        )
    if not math.isfinite(selected):
        raise NonFiniteError(f"{config.select} is {selected} after epoch {state.epoch}")
    if selected > state.best:
        state.best = selected
        if result.scores is not None and not isinstance(split, QuerySplit):
            keep_similarity(state.config.folder, result.scores, split, state.step)
    return metrics
