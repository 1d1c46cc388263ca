"""Evaluation files: `<run>/evaluation/<split>.json`, and beside it the rank of every query for later comparisons."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.evaluation.protocols.protocols import Result
from raytrain.evaluation.significance import GALLERY, mean_intervals, recall_intervals
from raytrain.files import sha256, write_json

SCHEMA_VERSION = 1
INTERVAL_LEVEL = 0.95
FACTS = ("split", "fingerprint", "checkpoint", "seed", "commit")


def write_evaluation(run: str | os.PathLike[str], result: Result, facts: Mapping[str, Any]) -> Path:
    """Write a result into `<run>/evaluation/` and return the path of the JSON file; ranks go to `.ranks.npz` beside it.

    The name is the split, then the protocol unless that is the whole split, then `rerank` where scores were re-ranked
    over the queries themselves or `inductive` where over a bank of training queries: test.json, test.rerank.json,
    test.inductive.json, test.coco-1k5f.json. A file of the same name is replaced.

    Args:
        run: folder of the run.
        result: of a protocol.
        facts: split, fingerprint, checkpoint, seed and commit, and anything else that the file should record.

    Raises:
        ValueError: one of those five is missing.
    """
    missing = [name for name in FACTS if name not in facts]
    if missing:
        raise ValueError(
            f"an evaluation without {', '.join(missing)} cannot be compared; facts need {', '.join(FACTS)}"
        )
    folder = Path(run) / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    name = evaluation_name(str(facts["split"]), result)

    kept = {key: value.cpu().numpy().astype(np.int32) for key, value in {**result.ranks, **result.groups}.items()}
    draws = {name: value.numpy() for name, value in result.gallery_draws.items()}
    kept |= {GALLERY + name: value for name, value in draws.items()}
    arrays = folder / f"{name}.ranks.npz"
    part = arrays.with_name(f"{arrays.name}.part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]
    os.replace(part, arrays)

    if result.measures is None:
        intervals = recall_intervals(kept, level=INTERVAL_LEVEL)
    else:
        measures = result.measures
        intervals = mean_intervals(measures.values, measures.groups, measures.means, INTERVAL_LEVEL, draws)
    document = {
        "schema": SCHEMA_VERSION,
        "split": facts["split"],
        "protocol": result.protocol,
        "metrics": dict(result.metrics),
        "headline": result.headline,
        "intervals": {key: list(bounds) for key, bounds in intervals.items()},
        "interval_level": INTERVAL_LEVEL,
        "interval_over": f"{'queries and gallery items' if draws else 'images'}; training noise not covered",
        "queries": dict(result.queries),
        "gallery": dict(result.gallery),
        "notes": list(result.notes),
        "transductive": result.transductive,
        "rerank": result.rerank.as_dict() if result.rerank and result.rerank.active else None,
        "ranks": arrays.name,
        "ranks_sha256": sha256(arrays),
        "time": round(time.time(), 3),
        **{key: value for key, value in facts.items() if key != "split"},
    }
    return write_json(folder / f"{name}.json", document)


def evaluation_name(split: str, result: Result) -> str:
    """File name of an evaluation, without suffix."""
    parts = [split]
    if result.protocol not in (f"split/{split}", f"karpathy/{split}"):
        parts.append(result.protocol.replace("/", "-"))
    return ".".join([*parts, *(["rerank"] if result.transductive else ["inductive"] if result.inductive else [])])


def read_evaluations(run: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Every evaluation file of a run, ordered by name, with its path under "file".

    Files that are no evaluations (such as the description of cached similarities) or cannot be read are left out.
    """
    evaluations = []
    for path in sorted((Path(run) / "evaluation").glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError):
            continue
        if isinstance(document, dict) and document.get("schema") == SCHEMA_VERSION and "metrics" in document:
            evaluations.append({**document, "file": str(path)})
    return evaluations


def read_ranks(evaluation: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The rank arrays that belong to an evaluation; None where their file is missing or unreadable.

    {"i2t": (N,), "t2i": (M,), "item_of_text": (M,)}, or for composed queries {"query": (Q,), "reference": (Q,)} and, in
    files that have them, {"target": (Q,), "gallery/recall_at_1": (draws, B), ...}.

    Args:
        evaluation: as `read_evaluations` returned it.
    """
    try:
        with np.load(Path(evaluation["file"]).parent / Path(evaluation["ranks"]).name, allow_pickle=False) as arrays:
            if "query" not in arrays:
                return {name: arrays[name] for name in ("i2t", "t2i", "item_of_text")}
            optional = [name for name in arrays if name == "target" or name.startswith(GALLERY)]
            return {name: arrays[name] for name in ("query", "reference", *optional)}
    except (OSError, KeyError, ValueError):
        return None
