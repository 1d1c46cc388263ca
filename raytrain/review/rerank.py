"""Stage two of a run: re-ranking temperatures searched over its cached validation similarities.

Here, and not in evaluation, because it reads and writes a run's folder and journal.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.config.methods import METHOD_CONFIGS, MethodPart
from raytrain.errors import DataError, Problem, RefusedError, UsageError
from raytrain.evaluation.report import write_evaluation
from raytrain.evaluation.temperature_search import search_temperatures
from raytrain.tracking.journal import Journal

NAME = "rerank.json"
AGAIN = "Train the run again with evaluation.keep_similarity=true."


def rerank_run(folder: str | os.PathLike[str], trials: int = 200, seed: int = 0) -> dict[str, Any]:
    """Search temperatures for one run and write them into its folder.

    Writes `<run>/rerank.json` (what `evaluate` applies to other splits), the validation's evaluation files with and
    without re-ranking, and a "rerank" line of the journal. Only validation scores are read.

    Args:
        folder: of the run.
        trials: settings to draw in each direction.
        seed: of the sampler.

    Returns:
        {"params": as `Temperatures.as_dict`, "before": rsum, "after": rsum, "settings_tried", "seconds"}

    Raises:
        UsageError: the run kept no similarities, or Optuna is missing.
        DataError: they are damaged.
        RefusedError: they are of the test split.
    """
    folder = Path(folder).expanduser().resolve()
    facts, similarity, item_of_text = read_similarity(folder)
    journal = Journal(folder)
    start = journal.last("start") or {}
    found = search_temperatures(similarity, item_of_text, trials, seed, facts["protocol"])

    split = str(facts["split"])
    for earlier in (folder / "evaluation").glob(f"{split}*.rerank.json"):  # with temperatures of another search
        earlier.unlink()
    known = {"split": split, "fingerprint": facts["fingerprint"], "checkpoint": facts["checkpoint"]}
    known |= {"seed": start.get("seed"), "commit": start.get("commit")}
    for result in (found.before, found.after) if found.best.active else (found.before,):
        write_evaluation(folder, result, known)

    answer = {
        "params": found.best.as_dict(),
        "before": found.before.metrics["rsum"],
        "after": found.after.metrics["rsum"],
        "settings_tried": found.settings_tried,
        "seconds": round(found.seconds, 3),
    }
    document = {
        **answer,
        **known,
        "protocol": facts["protocol"],
        "trials": trials,
        "search_seed": seed,
        "before_metrics": dict(found.before.metrics),
        "after_metrics": dict(found.after.metrics),
        # each direction's (mode, scale, sum of its recalls), for a curve
        "tried": {
            direction: sorted([mode, scale, round(score, 4)] for (mode, scale), score in scores.items())
            for direction, scores in found.tried.items()
        },
    }
    part = folder / f"{NAME}.part"
    part.write_text(json.dumps(document, indent=1), encoding="utf-8")
    os.replace(part, folder / NAME)
    metrics = {f"rerank/{split}/{name}": value for name, value in found.after.metrics.items()}
    journal.write("rerank", params=answer["params"], metrics=metrics, settings_tried=answer["settings_tried"])
    return answer


def read_similarity(folder: Path) -> tuple[dict[str, Any], Tensor, Tensor]:
    """The facts, (M, N) float32 scores and (M,) owners that a run kept of its best epoch's validation.

    Raises:
        UsageError: there are none.
        DataError: damaged, or of another shape than their description.
        RefusedError: of the test split.
    """
    path = folder / "evaluation" / "similarity_val.npy"
    if not path.exists():
        start = Journal(folder).last("start") or {}
        if METHOD_CONFIGS.get(str(start.get("config", {}).get("method.kind")), MethodPart).batch_ways == ("query",):
            raise RefusedError(f"{folder.name} answers composed queries; Fast Re-ranking is of images and captions")
        if not (folder / "journal.jsonl").exists():
            raise UsageError(f"{folder} is not the folder of a run")
        raise UsageError(f"{folder} kept no validation similarities. {AGAIN}")
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        owner = torch.tensor(facts["item_of_text"], dtype=torch.int64)
        split, wanted = str(facts["split"]), facts["sha256"]
        scores = np.load(path, allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", AGAIN)) from None
    if split == "test":
        raise RefusedError(f"{path} holds scores of the test split; temperatures are chosen on validation alone")
    if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        raise DataError(Problem(str(path), None, "its sha256 is not the one that its description names", AGAIN))
    if scores.ndim != 2 or len(scores) != len(owner) or scores.dtype != np.float32:
        what = f"{scores.dtype} {scores.shape}, expected float32 with {len(owner)} rows"
        raise DataError(Problem(str(path), None, what, AGAIN))
    return facts, torch.from_numpy(scores), owner
