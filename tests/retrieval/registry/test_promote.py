"""The champion of an experiment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raytrain.cli.main import main
from raytrain.errors import RefusedError
from raytrain.retrieval.registry.log import Registered
from raytrain.retrieval.registry.promote import promote, validation_of
from raytrain.retrieval.runs import OpenRun, finished_run
from raytrain.tracking.journal import Journal
from raytrain.tracking.store import open_client


def test_only_what_was_evaluated_on_validation_is_promoted(run: Path, uri: str) -> None:
    with pytest.raises(RefusedError, match=r"no evaluation on validation.*raytrain evaluate"):
        promote(run, uri)


def test_a_champion_is_compared_with_the_one_before(
    opened: OpenRun, logged: Registered, uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = promote(opened.record.folder, uri)
    assert (first["model"], first["version"], first["previous"]) == ("shop", "1", None)
    assert first["metric"] == "val/split/rsum"
    again = promote(opened.record.folder, uri)
    assert (again["version"], again["difference"]) == ("1", None)
    other = _other_run(opened, tmp_path, value=first["value"] - 5)
    assert main(["promote", str(other), "--tracking", uri, "--json"]) == 0
    second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (second["model"], second["version"]) == ("shop", "2")
    assert second["previous"]["version"] == "1" and second["previous"]["run"] == opened.record.folder.name
    assert second["difference"] == pytest.approx(-5)
    assert str(open_client(uri).get_registered_model("shop").aliases["champion"]) == "2"


def _other_run(opened: OpenRun, storage: Path, value: float) -> Path:
    """The same run under another uid, whose last evaluation says `value`."""
    folder = Path(shutil.copytree(opened.record.folder, storage / "shop" / "second"))
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace(str(opened.record.uid), "another"))
    evaluation = next(event for event in Journal(folder).read() if event["event"] == "evaluation")
    fields = {name: each for name, each in evaluation.items() if name not in ("event", "time", "life", "uid")}
    Journal(folder).write("evaluation", **{**fields, "metrics": {**fields["metrics"], "val/rsum": value}})
    return folder


def test_re_ranked_and_other_splits_do_not_count(opened: OpenRun, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(opened.record.folder, tmp_path / "run"))
    before = validation_of(finished_run(folder))
    for split, name in [("test", "test/rsum"), ("val", "rerank/val/rsum")]:
        Journal(folder).write(
            "evaluation", split=split, protocol=f"split/{split}", headline="rsum", metrics={name: 1.0}
        )
    assert validation_of(finished_run(folder)) == before
