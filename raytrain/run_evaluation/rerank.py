"""Stage two of a run: re-ranking temperatures searched over its cached validation similarities.

Here, and not in evaluation, because it reads and writes a run's folder and journal.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytrain.config.methods import METHOD_CONFIGS, MethodPart
from raytrain.data.table.arrays import open_array
from raytrain.errors import DataError, Problem, RefusedError, UsageError
from raytrain.evaluation.protocols.named_split import split_of
from raytrain.evaluation.report import digest_of, write_evaluation
from raytrain.evaluation.reranking.change import lowered
from raytrain.evaluation.reranking.normaliser import SOFTMAX_MODES, Mode
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.evaluation.reranking.record import BANK_NAME, NAME, RerankRecord
from raytrain.evaluation.temperature_search.choice import HeldOut, Setting, standard_error
from raytrain.evaluation.temperature_search.search import SearchResult, search_temperatures
from raytrain.files import read_model, replacing, sha256
from raytrain.review.charts.plots import rerank_figure
from raytrain.tracking.journal import Journal
from raytrain.tracking.openings import openings_of_journal
from raytrain.tracking.run_record import first_start
from raytrain.training.similarity_cache import SimilarityFacts

AGAIN = "Train the run again with evaluation.keep_similarity=true."

Rescore = Callable[[str | None, int, int, str], tuple[Tensor, QueryBank | None]]
"""(pooling, bank size, seed, checkpoint) -> validation scores, and a bank's; see raytrain/run_evaluation/rescore.py."""


def rerank_run(
    folder: str | os.PathLike[str],
    trials: int = 200,
    seed: int = 0,
    modes: Sequence[Mode] = SOFTMAX_MODES,
    bank_sizes: Sequence[int] = (),
    poolings: Sequence[str] = (),
    rescore: Rescore | None = None,
) -> dict[str, Any]:
    """Search temperatures for one run and write them into its folder.

    Writes `<run>/rerank.json` (what `evaluate` applies to other splits) with all that was tried, `rerank.svg` with its
    curves and heat map, the validation's evaluation files with and without re-ranking, and a "rerank" line of the
    journal. With a bank the files are `rerank.inductive.json` and `.svg`; one search does not touch the other's. Only
    validation scores and training queries are read.

    Args:
        folder: of the run.
        trials: settings that TPE draws in each direction, in addition to the grid.
        seed: of the sampler, and of the bank's draw.
        modes: of which one is chosen.
        bank_sizes: numbers of training queries to normalise over, each tried; () normalises over the queries
            themselves.
        poolings: of a method's view scores, tried in addition to the run's own.
        rescore: makes the scores that banks and poolings need.

    Returns:
        {"params": as `Temperatures.as_dict`, "before": rsum, "after": rsum, "settings_tried", "seconds", "held_out":
        {"i2t", "t2i" and "rsum": what the choice gains on queries that it has not seen, as `HeldOut.as_dict`},
        "lowered": {metric: points that it lost}}

    Raises:
        UsageError: the run kept no similarities, Optuna is missing, or there is nothing to rescore with.
        DataError: they are damaged.
        RefusedError: they are of the test split, or of other data than the run's.
    """
    folder = Path(folder).expanduser().resolve()
    facts, similarity, item_of_text = read_similarity(folder)
    if any(size < 1 for size in bank_sizes):
        raise UsageError(f"bank sizes are {', '.join(map(str, bank_sizes))}; give numbers of training queries")
    if (bank_sizes or poolings) and rescore is None:
        raise UsageError("banks and poolings need the run's checkpoint")
    journal = Journal(folder)
    events = journal.read()
    start = first_start(events)
    if start.get("fingerprint") not in (None, facts["fingerprint"]):
        raise RefusedError(f"{folder} holds validation similarities of other data than the run's. {AGAIN}")
    searches: dict[str | None, SearchResult] = {}
    for pooling in (None, *poolings):
        scores, bank = similarity, None
        if rescore is not None and (bank_sizes or pooling):
            scores, bank = rescore(pooling, max(bank_sizes, default=0), seed, str(facts["checkpoint"]))
        if pooling is None:
            scores = similarity  # what the run's own metrics are of
        searches[pooling] = search_temperatures(
            scores, item_of_text, trials, seed, facts["protocol"], modes, bank, bank_sizes
        )
    pooling = _pooling(searches)
    chosen, before = searches[pooling], searches[None].before
    held_out = HeldOut(searches[None].held_out_rsum.before, chosen.held_out_rsum.after)
    gained = {name: value.as_dict() for name, value in (*chosen.held_out.items(), ("rsum", held_out))}
    best = replace(chosen.best, pooling=pooling)
    after = replace(chosen.after, rerank=best) if best.active else before

    kind, name = ("inductive", BANK_NAME) if bank_sizes else ("rerank", NAME)
    split = str(facts["split"])
    for earlier in (folder / "evaluation").glob(f"{split}*.{kind}.json"):  # with temperatures of another search
        earlier.unlink()
    origin = {"split": split, "fingerprint": facts["fingerprint"], "checkpoint": facts["checkpoint"]}
    origin |= {"seed": start.get("seed"), "commit": start.get("commit")}
    counted = {"uid": start.get("uid"), "test_openings": len(set(openings_of_journal(events)))}
    written = [
        write_evaluation(folder, result, origin | counted) for result in ((before, after) if best.active else (before,))
    ]

    record = RerankRecord(
        params=best.as_dict(),
        before=before.metrics["rsum"],
        after=after.metrics["rsum"],
        settings_tried=sum(search.settings_tried for search in searches.values()),
        seconds=round(sum(search.seconds for search in searches.values()), 3),
        **origin,
        protocol=facts["protocol"],
        transductive=best.transductive,
        trials=trials,
        search_seed=seed,
        bank_sizes=list(bank_sizes),
        poolings={str(key or "as trained"): search.after.metrics["rsum"] for key, search in searches.items()},
        before_metrics=dict(before.metrics),
        after_metrics=dict(after.metrics),
        tried={direction: _listed(scores) for direction, scores in chosen.tried.items()},
        held_out=gained,
    )
    record.write(folder / name)
    figure = folder / name.replace(".json", ".svg")
    with replacing(figure) as part:
        part.write_text(rerank_figure(record.tried), encoding="utf-8")
    metrics = {f"{kind}/{split}/{key}": value for key, value in after.metrics.items()}
    journal.write(
        "rerank",
        params=record.params,
        metrics=metrics,
        settings_tried=record.settings_tried,
        held_out=gained,
        kind=kind,
        files={file.name: digest_of(file) for file in written},
    )
    fallen = {"lowered": lowered(before.metrics, after.metrics)}
    return record.model_dump(include={"params", "before", "after", "settings_tried", "seconds", "held_out"}) | fallen


def _pooling(searches: Mapping[str | None, SearchResult]) -> str | None:
    """The pooling with the best rsum on held-out queries; the run's own unless that is a standard error behind."""
    own = searches[None].held_out_rsum.after
    best = max(searches, key=lambda key: float(searches[key].held_out_rsum.after.mean()))
    ahead = searches[best].held_out_rsum.after - own
    return best if float(ahead.mean()) > (standard_error(ahead) or 0.0) else None


def _listed(scores: Mapping[Setting, float]) -> list[list[Any]]:
    """[mode, scale, sum of recalls, and the bank size where there is one] of each setting, for a curve."""
    return sorted(
        [setting.mode, setting.scale, round(score, 4), *([setting.bank] if setting.bank else [])]
        for setting, score in scores.items()
    )


def read_similarity(folder: Path) -> tuple[dict[str, Any], Tensor, Tensor]:
    """The facts, (M, N) float32 scores and (M,) owners that a run kept of its best epoch's validation.

    The scores are mapped, not read: the file is gone through once for its hash, and what it holds is in memory only
    where it is being read.

    Raises:
        UsageError: there are none.
        DataError: damaged, or of another shape than their description.
        RefusedError: of the test split.
    """
    path = folder / "evaluation" / "similarity_val.npy"
    if not path.exists():
        config = (Journal(folder).last("start") or {}).get("config") or {}
        ways = METHOD_CONFIGS.get(str(config.get("method.kind")), MethodPart).batch_ways
        if ways == ("query",) or config.get("data.batch_by") == "query":
            raise RefusedError(f"{folder.name} answers composed queries; Fast Re-ranking is of images and captions")
        if not (folder / "journal.jsonl").exists():
            raise UsageError(f"{folder} is not the folder of a run")
        raise UsageError(f"{folder} kept no validation similarities. {AGAIN}")
    try:
        facts = read_model(path.with_suffix(".json"), SimilarityFacts, AGAIN).model_dump()
        owner = torch.tensor(facts["item_of_text"], dtype=torch.int64)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", AGAIN)) from None
    split, wanted = str(facts["split"]), facts["sha256"]
    if split == "test":
        raise RefusedError(f"{path} holds scores of the test split; temperatures are chosen on validation alone")
    if split_of(str(facts.get("protocol"))) != split:
        what = f"protocol {facts.get('protocol')} for scores of split '{split}'"
        raise DataError(Problem(str(path.with_suffix(".json")), None, what, AGAIN))
    scores = open_array(path)  # read as it is needed, and never written to
    if sha256(path) != wanted:  # in pieces: the file may be larger than what is free
        raise DataError(Problem(str(path), None, "its sha256 is not the one that its description names", AGAIN))
    if scores.ndim != 2 or owner.shape != (len(scores),) or scores.dtype != np.float32:
        what = f"{scores.dtype} {scores.shape}, expected float32 with {len(owner)} rows"
        raise DataError(Problem(str(path), None, what, AGAIN))
    if ((owner < 0) | (owner >= scores.shape[1])).any():
        what = f"item_of_text names images outside the {scores.shape[1]} of the scores"
        raise DataError(Problem(str(path.with_suffix(".json")), None, what, AGAIN))
    with warnings.catch_warnings():  # torch would rather have an array that can be written to
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return facts, torch.from_numpy(scores), owner
