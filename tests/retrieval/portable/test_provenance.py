"""What an export says of where it comes from."""

from __future__ import annotations

from pathlib import Path

from raytrain.data.table import Table
from raytrain.retrieval.portable.description import Description
from raytrain.retrieval.portable.provenance import evaluations, provenance
from raytrain.retrieval.runs import finished_run
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint


def test_run_data_and_selection_are_named(run: Path, pictures: Table, with_gallery: Path) -> None:
    stated = Description.read(with_gallery).provenance
    record = finished_run(run)
    assert (stated["run"], stated["experiment"], stated["seed"]) == (run.name, run.parent.name, 0)
    assert stated["selected"] == {"metric": "val/rsum", "value": record.best}
    assert stated["data"]["fingerprint"] == pictures.fingerprint
    assert stated["data"]["source"] == "karpathy"
    assert stated["data"]["splits"]["val"]["items"] == 4
    assert stated["seeds"] is None


def test_the_last_evaluation_of_each_protocol_counts() -> None:
    def event(split: str, rsum: float, prefix: str = "") -> dict[str, object]:
        metrics = {f"{prefix}{split}/rsum": rsum}
        return {"event": "evaluation", "split": split, "protocol": f"split/{split}", "metrics": metrics, "time": 1.0}

    events = [event("val", 1.0), event("test", 2.0), event("val", 3.0), event("val", 4.0, "rerank/"), {"event": "end"}]
    listed = [next(iter(each["metrics"].items())) for each in evaluations(events)]
    assert listed == [("val/rsum", 3.0), ("test/rsum", 2.0), ("rerank/val/rsum", 4.0)]


def test_a_sweep_that_repeated_the_run_gives_its_seeds(run: Path, pictures: Table, tmp_path: Path) -> None:
    trial = tmp_path / "s-t001"
    trial.symlink_to(run)
    journal = Journal(tmp_path / "s")
    params = {"optim.lr": 1e-3}
    journal.write("trial", number=1, run="s-t001", state="complete", params=params, value=9.0)
    journal.write("repeat", number=1, values=[9.0, 11.0], mean=10.0, std=1.4)
    record = finished_run(run)
    saved = checkpoint.load(next(run.glob("checkpoint_*")))
    named = type(record)(trial, record.start, record.uid, record.resumed, record.epoch_events, record.end)
    assert provenance(named, saved, pictures)["seeds"] == {"values": [9.0, 11.0], "mean": 10.0, "std": 1.4}
