"""Rows made up in a test, without runs."""

from __future__ import annotations

from typing import Any

from raytrain.review.board import METRICS, Cost, Row, Scores

COST = Cost(worker_seconds=30.0, gpu_seconds=0.0, cpu_seconds=30.0, lost_seconds=0.0, money=None, currency=None)


def made_scores(rsum: float | None, sd: float | None = None, composed: bool = False) -> Scores:
    """Recalls of 10, 20, ...; None throughout where rsum is."""
    names = [name for name in METRICS if ("/" in name) != composed]
    values = {name: 10.0 * place for place, name in enumerate(names, start=1)} if rsum is not None else {}
    return Scores({name: values.get(name) for name in METRICS}, rsum, sd)


def made_row(**changes: Any) -> Row:
    """A row of DVSE that was evaluated on validation alone."""
    row: dict[str, Any] = {
        "fingerprint": "a" * 12, "protocol": "split/test", "experiment": "e", "method": "dvse", "views": 4,
        "composed": False, "rerank": None, "transductive": False, "seeds": [0], "runs": ["r0"], "folders": ["/f/r0"],
        "val": made_scores(300.0), "test": made_scores(None), "headline": None, "interval": None, "cost": COST,
        "epochs": 3, "commit": "c0ffee123456", "config": {}, "ranks": {"val": None, "test": None}, "rank": 1,
    }  # fmt: skip
    return Row(**(row | changes))
