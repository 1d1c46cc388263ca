"""Runs made up in a test: journals and evaluation files as training writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.report import digest_of, write_evaluation
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.files import sha256, write_json
from raytrain.tracking.journal import Journal

DATA = "a" * 64
CROSS = Temperatures("cross", 4.0, 4.0)


def scores(seed: int, strength: float = 1.0, images: int = 20, each: int = 3) -> tuple[Tensor, Tensor]:
    """(M, N) scores with hubs, of texts that answer their own image more or less."""
    generator = torch.Generator().manual_seed(seed)
    owner = torch.arange(images).repeat_interleave(each)
    right = (owner[:, None] == torch.arange(images)).float() * strength
    noise = torch.randn(images * each, images, generator=generator) * 0.6
    return right + noise + 0.5 * torch.rand(images, generator=generator), owner


def make_run(
    folder: Path,
    seed: int = 0,
    strength: float = 1.0,
    status: str | None = "finished",
    fingerprint: str = DATA,
    test: str | None = "split/test",
    temperatures: Temperatures | None = None,
    name: str | None = None,
    checkpoint: str = "checkpoint_00000002",
    **config: Any,
) -> dict[str, float]:
    """Writes a run of one method and returns its validation metrics."""
    config = {"method.kind": "dvse", "method.views": 4, "optim.lr": 5e-4, "seed": seed, "name": folder.name} | config
    journal = Journal(folder)
    journal.write(
        "start", uid=folder.name, kind="run", run=name or folder.name, experiment=folder.parent.name, parent=None,
        config=config, commit="c0ffee123456+", fingerprint=fingerprint, seed=seed,
    )  # fmt: skip
    similarity, owner = scores(seed, strength)
    metrics = evaluate(similarity, owner, "split/val").metrics
    for epoch, factor in ((1, 0.5), (2, 1.0), (3, 0.9)):  # the second is the best
        told = {f"val/{key}": value * factor for key, value in metrics.items()}
        journal.write(
            "epoch",
            epoch=epoch,
            step=epoch,
            metrics={**told, "cost/worker_seconds": 10.0 * epoch, "cost/gpu_seconds": 0.0},
        )
    keep_scores(folder, similarity, owner, fingerprint)
    for split in ("val", *(["test"] if test else [])):
        for applied in (None, temperatures) if temperatures else (None,):
            facts = {
                "split": split,
                "fingerprint": fingerprint,
                "checkpoint": checkpoint,
                "seed": seed,
                "commit": "c0ffee",
                "uid": folder.name,
                "test_openings": int(split == "test"),
            }
            protocol = test if split == "test" and test else "split/val"
            result = replace(evaluate(similarity, owner, "split/val", applied), protocol=protocol)
            log_evaluation(journal, write_evaluation(folder, result, facts))
    if status:
        journal.write("end", status=status, error=None, metrics={})
    return dict(metrics)


def log_evaluation(journal: Journal, file: Path) -> None:
    """What a journal says of an evaluation file that was written."""
    document = json.loads(file.read_text(encoding="utf-8"))
    journal.write(
        "evaluation", split=document["split"], protocol=document["protocol"], metrics={}, rerank=document["rerank"],
        file=file.name, digest=digest_of(file), test_openings=document["test_openings"],
    )  # fmt: skip


def change_evaluation(folder: Path, name: str, **changes: Any) -> None:
    """Write an evaluation of a run anew, with other fields, as if it had been measured so."""
    file = folder / "evaluation" / name
    document = json.loads(file.read_text(encoding="utf-8")) | changes
    log_evaluation(Journal(folder), write_json(file, document))


def keep_scores(folder: Path, similarity: Tensor, owner: Tensor, fingerprint: str = DATA, split: str = "val") -> None:
    path = folder / "evaluation" / "similarity_val.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, similarity.numpy().astype(np.float32), allow_pickle=False)
    facts = {
        "split": split,
        "fingerprint": fingerprint,
        "checkpoint": "checkpoint_00000002",
        "protocol": "split/val",
        "item_of_text": owner.tolist(),
        "sha256": sha256(path),
    }
    write_json(path.with_suffix(".json"), facts)


def write_search(
    folder: Path,
    tried: dict[str, list[list[Any]]],
    chosen: Temperatures = CROSS,
    name: str = "rerank.json",
) -> None:
    """A run's rerank.json, of a search that tried {direction: [[mode, scale, sum of recalls, bank size], ...]}."""
    document = {
        "params": chosen.as_dict(), "before": 180.0, "after": 190.0,
        "settings_tried": 4, "seconds": 0.5, "split": "val", "fingerprint": DATA, "checkpoint": "checkpoint_00000002",
        "seed": 0, "commit": "c0ffee", "protocol": "split/val", "transductive": True, "trials": 0, "search_seed": 0,
        "before_metrics": {"rsum": 180.0}, "after_metrics": {"rsum": 190.0}, "tried": tried,
    }  # fmt: skip
    write_json(folder / name, document)


def write_space(sweep: Path, space: dict[str, Any]) -> None:
    """A sweep's space.json: {field: Optuna distribution as JSON}."""
    write_json(sweep / "space.json", {"space": space, "base": {}, "data": DATA, "search": {}})
