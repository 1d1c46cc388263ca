"""A finished run opened to be evaluated: one model, or the members of an ensemble, after the checks of honesty."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.data.table import AnySplit, Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.data.table.test_hash import hash_of_test
from raytrain.distributed import default_device
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.protocols.protocols import Result
from raytrain.evaluation.report import digest_of
from raytrain.methods.base import Method
from raytrain.scoring.embed import embed_split
from raytrain.scoring.ensemble import EmbeddedMember, MeanScores
from raytrain.scoring.feed import Feed
from raytrain.scoring.protocol_runner import Scored
from raytrain.tracking.ensemble_record import EnsembleRecord, ensemble_of, member_folders
from raytrain.tracking.journal import Journal
from raytrain.tracking.openings import Opened, count_openings, record_opening
from raytrain.tracking.run_record import RunRecord, read_run, run_record
from raytrain.training import checkpoint, provenance
from raytrain.training.run import load_run, unchanged_table


class OpenedModel(NamedTuple):
    """The best checkpoint of a run that was trained.

    Args:
        model: in evaluation mode.
        feed: readers of the table.
        table: the one it was trained on.
        saved: the checkpoint.
    """

    model: Method
    feed: Feed
    table: Table
    saved: checkpoint.Checkpoint

    @property
    def weights(self) -> str:
        """sha256 of its weights."""
        return str(self.saved.manifest["files"][checkpoint.WEIGHTS])

    @property
    def memory_mib(self) -> float:
        """MiB that scoring may hold."""
        return self.saved.config.evaluation.memory_mib

    def embed(self, queries: AnySplit) -> EmbeddedMember:
        """The model with its embeddings of a split."""
        return EmbeddedMember(self.model, *embed_split(self.model, queries, self.feed, default_device()))


@dataclass
class OpenedRun:
    """A run that may be evaluated on a split.

    Args:
        folder: of the run.
        models: its own, or those of an ensemble's members.
        ensemble: what the journal of an ensemble says of its members; None of a run that was trained.
        events: of its journal.
        facts: what each of its evaluation files says of the run and of the split; after `count_openings` also which
            opening of the test split it is, of this run and of its test rows by any weights.
    """

    folder: Path
    models: Sequence[OpenedModel]
    ensemble: EnsembleRecord | None
    events: Sequence[Mapping[str, Any]]
    facts: dict[str, Any]

    @property
    def table(self) -> Table:
        return self.models[0].table

    @property
    def feed(self) -> Feed:
        return self.models[0].feed

    @property
    def train_split(self) -> str:
        return self.models[0].saved.config.data.train_split

    def only_model(self, what: str) -> OpenedModel:
        """The model of a run that was trained.

        Args:
            what: needs it, for the error.

        Raises:
            UsageError: the run is an ensemble.
        """
        if self.ensemble is not None:
            raise UsageError(f"{what}: {self.folder.name} is an ensemble, and has no model of its own")
        return self.models[0]

    def count_openings(self, protocol: str) -> dict[str, Any]:
        """The facts with the number of test openings; one more, with its id, where this opens the test split.

        They are counted in the table and beside the run (raytrain/tracking/openings.py).
        """
        weights = self.models[0].weights if self.ensemble is None else self.ensemble.weights
        opened = Opened(hash_of_test(self.table), weights, self.facts["uid"])
        files = (self.folder.parent / OPENINGS, self.table.path / OPENINGS)
        if self.facts["split"] == "test":
            facts = {"run": self.folder.name, "protocol": protocol}
            opening, counted = record_opening(files, opened, self.events, **facts)
            self.facts["opening"] = {"id": opening, **opened._asdict()}
        else:
            counted = count_openings(files, opened, self.events)
        self.facts["test_openings"], self.facts["test_openings_in_all"] = counted
        return self.facts

    def embed(self, queries: AnySplit, whole: bool = False) -> Scored:
        """The split with its embeddings; of an ensemble with positions, by which `MeanScores` finds its members'.

        Args:
            queries: the split, with a protocol's queries.
            whole: the matrix of all its scores will be computed anyway.
        """
        model, query, gallery, *_ = self.models[0].embed(queries) if self.ensemble is None else self._mean(queries)
        return Scored(model, queries, query, gallery, self.models[0].memory_mib, whole)

    def _mean(self, queries: AnySplit) -> EmbeddedMember:
        assert self.ensemble is not None
        members = [
            opened.embed(queries)._replace(shift=recorded.shift, spread=recorded.spread)
            for opened, recorded in zip(self.models, self.ensemble.members, strict=True)
        ]
        mean = MeanScores(members)
        return EmbeddedMember(mean, *mean.positions())

    def log(self, result: Result, file: Path) -> None:
        """Write an evaluation into the run's journal, with the digest of its file so that an edited one is noticed.

        Headline and intervals are written too: the file is replaced by the next evaluation of its name.
        """
        split = self.facts["split"]
        kind = "rerank/" if result.transductive else "inductive/" if result.inductive else ""
        content = json.loads(file.read_text(encoding="utf-8")) if result.metrics else {}
        shown = {name: content[name] for name in ("headline", "intervals", "interval_level") if name in content}
        Journal(self.folder).write(
            "evaluation",
            split=split,
            protocol=result.protocol,
            metrics={f"{kind}{split}/{name}": value for name, value in result.metrics.items()},
            rerank=result.rerank.as_dict() if result.rerank else None,
            **shown,
            file=file.name,
            digest=digest_of(file),
            test_openings=self.facts["test_openings"],
            **({"opening": self.facts["opening"]} if "opening" in self.facts else {}),
        )


def open_for_evaluation(
    folder: str | os.PathLike[str],
    split: str,
    verify_features: bool = True,
    moved_to: str | os.PathLike[str] | None = None,
) -> OpenedRun:
    """Open the run's best checkpoint, or those of an ensemble's members, after the checks that keep test honest.

    Args:
        folder: of the run.
        split: that it will be evaluated on.
        verify_features: as in Table.
        moved_to: folder of the run's table, where it was moved since training.

    Raises:
        UsageError: no folder of a run, or no finished checkpoint in it.
        RefusedError: the test split of a run that has not finished, a table that has changed, or a member that has
            other weights than when the ensemble was made.
    """
    folder = Path(folder).expanduser().resolve()
    if folder.name.startswith(checkpoint.PREFIX):
        raise UsageError(f"{folder.name} is a checkpoint; give its run, {folder.parent}, whose journal counts openings")
    events = Journal(folder).read()
    record = run_record(folder, events)
    ensemble = ensemble_of(record.start)
    if ensemble is None:
        if split == "test" and checkpoint.best(folder) and record.status not in ("finished", "pruned"):
            raise RefusedError(f"{folder.name} has not finished; the test split is for finished runs")
        models = [open_model(record, verify_features, moved_to)]
        of_run = {"checkpoint": models[0].saved.path.name, "seed": models[0].saved.config.seed}
    else:
        records = [read_run(member) for member in member_folders(folder, ensemble)]
        models = [open_model(member, verify_features, moved_to) for member in records]
        for model, recorded in zip(models, ensemble.members, strict=True):
            if model.weights != recorded.weights:
                raise RefusedError(
                    f"{model.saved.path.parent} has other weights than when {folder.name} was made; make the ensemble "
                    "again"
                )
        of_run = {"checkpoint": checkpoint.name_of(record.best_step or 0), "seed": record.start.get("seed")}
    facts = {
        "split": split,
        "fingerprint": models[0].table.fingerprint,
        **of_run,
        "commit": provenance.commit(),
        "uid": record.uid,
        "features_verified": verify_features,
    }
    return OpenedRun(folder, models, ensemble, events, facts)


def open_model(
    record: RunRecord, verify_features: bool = True, moved_to: str | os.PathLike[str] | None = None
) -> OpenedModel:
    """The best checkpoint of a run that was trained, over its own table; as `open_for_evaluation`."""
    read_from = Table(moved_to, verify_features=verify_features) if moved_to else None
    model, feed, saved = load_run(record.folder, read_from, verify_features)
    table = unchanged_table(saved, moved_to, verify_features)
    table.refuse_other_features(record.start.get("features", {}))
    return OpenedModel(model, feed, table, saved)
