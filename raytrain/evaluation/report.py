"""Evaluation files: `<run>/evaluation/<split>.json`, and beside it the rank of every query for later comparisons."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.errors import DataError, Problem
from raytrain.evaluation.digest import digest
from raytrain.evaluation.evaluation_file import SCHEMA_VERSION, read_evaluation_file, read_rank_arrays
from raytrain.evaluation.protocols.named_split import refuse_other_split
from raytrain.evaluation.protocols.protocols import Result
from raytrain.evaluation.ranking.chance import trivial_recalls
from raytrain.evaluation.significance import GALLERY, mean_intervals, recall_intervals
from raytrain.files import replacing, sha256, write_json

INTERVAL_LEVEL = 0.95
FACTS = ("split", "fingerprint", "checkpoint", "seed", "commit", "uid", "test_openings")


def write_evaluation(run: str | os.PathLike[str], result: Result, facts: Mapping[str, Any]) -> Path:
    """Write a result into `<run>/evaluation/` and return the path of the JSON file; ranks go to `.ranks.npz` beside it.

    The name is the split, then the protocol unless that is the whole split, then `rerank` where scores were re-ranked
    over the queries themselves or `inductive` where over a bank of training queries: test.json, test.rerank.json,
    test.inductive.json, test.coco-1k5f.json. A file of the same name is replaced.

    Args:
        run: folder of the run.
        result: of a protocol.
        facts: split, fingerprint, checkpoint, seed, commit, uid of the run and the number of test openings so far, and
            anything else that the file should record.

    Raises:
        ValueError: one of those seven is missing.
        UsageError: the protocol is of another split than the facts say.
    """
    missing = [name for name in FACTS if name not in facts]
    if missing:
        raise ValueError(
            f"an evaluation without {', '.join(missing)} cannot be compared; facts need {', '.join(FACTS)}"
        )
    refuse_other_split(result.protocol, str(facts["split"]))
    folder = Path(run) / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    name = evaluation_name(str(facts["split"]), result)

    kept = {key: value.cpu().numpy().astype(np.int32) for key, value in {**result.ranks, **result.groups}.items()}
    draws = {name: value.numpy() for name, value in result.gallery_draws.items()}
    kept |= {GALLERY + name: value for name, value in draws.items()}
    arrays = folder / f"{name}.ranks.npz"
    with replacing(arrays) as part, open(part, "wb") as file:
        np.savez_compressed(file, **kept)  # type: ignore[arg-type]

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
        "chance": trivial_recalls(result.metrics, result.queries, result.gallery),
        "notes": list(result.notes),
        "transductive": result.transductive,
        "rerank": result.rerank.as_dict() if result.rerank and result.rerank.active else None,
        "ranks": arrays.name,
        "ranks_sha256": sha256(arrays),
        "time": round(time.time(), 3),
        **{key: value for key, value in facts.items() if key != "split"},
    }
    return write_json(folder / f"{name}.json", document)


def digest_of(file: Path) -> str:
    """`digest` of a written file."""
    return digest(json.loads(file.read_text(encoding="utf-8")))


def evaluation_name(split: str, result: Result) -> str:
    """File name of an evaluation, without suffix."""
    parts = [split]
    if result.protocol not in (f"split/{split}", f"karpathy/{split}"):
        parts.append(result.protocol.replace("/", "-"))
    return ".".join([*parts, *(["rerank"] if result.transductive else ["inductive"] if result.inductive else [])])


def read_evaluations(run: str | os.PathLike[str], skipped: list[Problem] | None = None) -> list[dict[str, Any]]:
    """Every evaluation file of a run, ordered by name, with its path under "file".

    Files that are no evaluations (such as the description of cached similarities) are left out, and damaged ones too.

    Args:
        skipped: where the problems of damaged files are added, and of their ranks; None discards them.
    """
    evaluations = []
    for path in sorted((Path(run) / "evaluation").glob("*.json")):
        try:
            document = read_evaluation_file(path)
            if document is not None:
                read_rank_arrays(document)
                evaluations.append(document)
        except FileNotFoundError:
            continue  # replaced or removed just now
        except DataError as error:
            (skipped if skipped is not None else []).extend(error.problems)
    return evaluations


def read_ranks(evaluation: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The rank arrays that belong to an evaluation; None where their file is missing or damaged.

    {"i2t": (N,), "t2i": (M,), "item_of_text": (M,)}, or for composed queries {"query": (Q,), "reference": (Q,)} and, in
    files that have them, {"target": (Q,), "gallery/recall_at_1": (draws, B), ...}.

    Args:
        evaluation: as `read_evaluations` returned it.
    """
    try:
        return read_rank_arrays(evaluation)
    except DataError:
        return None
