"""A sweep that ends, writes files and is evaluated afterwards, one line at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from raytrain.evaluation.digest import digest
from raytrain.tracking.journal import Journal
from raytrain.tracking.sweep_record import SearchIdentity
from tests.tracking.mirrored import epoch, start


def written_lines(experiment: Path) -> Iterator[Path]:
    """Write the sweep `s` with two trials into `experiment`; yields the folder of each line once it is written."""
    sweep_folder, best, other = experiment / "s", experiment / "s-t000", experiment / "s-t001"
    sweep = start(sweep_folder, kind="sweep")
    SearchIdentity(space={"optim.lr": {}}, base={}, data="", search={}).write(sweep_folder)
    yield sweep_folder
    parent = sweep.read()[0]["uid"]
    for number, (folder, status, values) in enumerate(
        [(best, "finished", (300.0, 290.0)), (other, "pruned", (200.0,))]
    ):
        run = start(folder, parent=parent)
        yield folder
        for done, value in enumerate(values, start=1):
            epoch(run, done, value)
            yield folder
        run.write("end", status=status, error=None, metrics={})
        yield folder
        state = "complete" if status == "finished" else "pruned"
        trial = {"number": number, "run": folder.name, "params": {"optim.lr": 5e-4}, "state": state}
        sweep.write("trial", value=values[0], epochs=len(values), error=None, **trial)
        yield sweep_folder
        run.close()
    run = Journal(best)
    (best / "rerank.json").write_text("{}")
    written = write_evaluation(best, "val.rerank.json", 310.0)
    held_out = {"rsum": {"gain": 8.0, "standard_error": 2.0, "folds": 10}}
    run.write("rerank", params={"i2t": 20.0}, metrics={"rerank/val/rsum": 310.0}, held_out=held_out, files=written)
    yield best
    end = {"run": best.name, "params": {"optim.lr": 5e-4}, "value": 300.0}
    sweep.write("end", status="finished", error=None, metrics={"best/val/rsum": 300.0}, best=end)
    yield sweep_folder
    for value in (280.0, 281.0):  # the second one replaces the file of the first
        ((file, digest),) = write_evaluation(best, "test.json", value).items()
        shown = {"headline": "rsum", "intervals": {"rsum": [value - 5, value + 5]}, "interval_level": 0.95}
        run.write(
            "evaluation", split="test", protocol="split/test", metrics={"test/rsum": value}, file=file, digest=digest,
            test_openings=1, **shown,
        )  # fmt: skip
        yield best
    (best / "evaluation" / "val.rerank.json").unlink()  # as another search does
    run.write("rerank", params={"i2t": 30.0}, metrics={"rerank/val/rsum": 311.0}, files={})
    yield best
    for journal in (sweep, run):
        journal.close()


def write_evaluation(folder: Path, name: str, rsum: float) -> dict[str, str]:
    content = {"metrics": {"rsum": rsum}}
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / name).write_text(json.dumps(content))
    return {name: digest(content)}
