"""Measures of runs of composed queries: recall by number of right targets, and further positives."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raytrain.config import RAUConfig
from raytrain.data.table import QuerySplit
from raytrain.errors import UsageError
from raytrain.losses.contrastive import likely_positives
from raytrain.studies.measured_run import MeasuredRun


def recall_by_targets(run: MeasuredRun, least: int, most: int, k: int) -> float | None:
    """Recall at k, in percent, over the validation queries with at least `least` and at most `most` right targets."""
    split = queries_of(run)
    targets = (split.relevant() & split.candidates()).sum(1)
    return recall_of_class(np.asarray(run.ranks["query"]), targets, least, most, k)


def recall_of_class(ranks: np.ndarray, targets: np.ndarray, least: int, most: int, k: int) -> float | None:
    """See `recall_by_targets`; None where no query is of the class.

    Args:
        ranks: (Q,) 0-based rank of the best target, -1 without one.
        targets: (Q,) number of right targets.
    """
    chosen = (targets >= least) & (targets <= most) & (ranks >= 0)
    return 100.0 * float((ranks[chosen] < k).mean()) if chosen.any() else None


def further_share(run: MeasuredRun) -> float | None:
    """Percent of the pairs of a validation query and another query's target that theta takes as positive."""
    taken, _ = _further(run)
    pairs = len(taken) * (len(taken) - 1)
    return 100.0 * float(taken.sum()) / pairs if pairs else None


def further_right(run: MeasuredRun) -> float | None:
    """Percent of these pairs whose target answers the query; None where there are no such pairs."""
    taken, right = _further(run)
    return 100.0 * float((taken & right).sum() / taken.sum()) if taken.any() else None


def _further(run: MeasuredRun) -> tuple[Tensor, Tensor]:
    """(Q, Q) bool: pairs of a query and another one's first target that theta takes, and that are right."""
    config = run.config.method
    assert isinstance(config, RAUConfig)
    split = queries_of(run)
    query, gallery = run.embedded
    answered = np.flatnonzero(np.diff(split.target_offsets) > 0)[: run.record.config["optim.batch_size"]]
    targets = split.targets[split.target_offsets[answered]]
    taken = likely_positives(query[answered] @ gallery[targets].T, config.theta, config.theta_mode)
    taken.fill_diagonal_(False)
    return taken, torch.from_numpy(split.relevant()[answered][:, targets])


def queries_of(run: MeasuredRun) -> QuerySplit:
    """Its validation queries."""
    split = run.split("val")
    if not isinstance(split, QuerySplit):
        raise UsageError(f"{run.record.folder.name} answers no composed queries")
    return split
