"""Which evaluation files count: those of the run, its data and its best weights, as its journal says they were written.

Each hostile file is listed with a reason, and none of them changes a number of the leaderboard.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import Problem
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.leaderboard import read_board
from raytrain.review.marks.filed import LeftOut, filed_evaluations
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.tables import to_markdown, to_text
from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import run_record
from tests.review.made_runs import change_evaluation, make_run

FR = Temperatures("cross", 20.0, None)


def filed(run: Path, skipped: list[Problem] | None = None) -> tuple[list[str], list[LeftOut]]:
    """Names of the files that count, and what is left out; `skipped` takes the problems of damaged files."""
    events = Journal(run).read()
    counted, left_out = filed_evaluations(run_record(run, events), events, skipped)
    return [Path(evaluation["file"]).name for evaluation in counted], left_out


def edit(**changes: Any) -> Callable[[Path], None]:
    """What an editor does to test.json."""

    def change(run: Path) -> None:
        path = run / "evaluation" / "test.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def misfiled_by_an_earlier_version(run: Path) -> None:
    """Validation's scores under the protocol of test, as `evaluate --protocol split/test` once wrote them."""
    val = json.loads((run / "evaluation" / "val.json").read_text())
    change_evaluation(run, "test.json", **val | {"protocol": "split/test"})


def from_another_run(run: Path) -> None:
    make_run(run.parent / "other", strength=3.0, seed=0)
    shutil.copytree(run.parent / "other" / "evaluation", run / "evaluation", dirs_exist_ok=True)
    shutil.rmtree(run.parent / "other")


def ranks_of_another_run(run: Path) -> None:
    make_run(run.parent / "other", strength=3.0)
    shutil.copy(run.parent / "other" / "evaluation" / "test.ranks.npz", run / "evaluation")
    shutil.rmtree(run.parent / "other")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (misfiled_by_an_earlier_version, "scores of split 'val' under split/test, a protocol of 'test'"),
        (edit(split="test", protocol="karpathy/test"), "the run's journal test and split/test"),
        (edit(metrics={"rsum": 600.0}), "changed since it was written"),
        (edit(queries={"i2t": 1}), "changed since it was written"),
        (edit(fingerprint="b" * 64), "of other data than the run: fingerprint bbbbbbbbbbbb, the run's is aaaaaaaaaaaa"),
        (edit(seed=7), "of another run: seed 7, the run's is 0"),
        (edit(uid="somebody"), "of another run, somebody"),
        (edit(checkpoint="checkpoint_00000001"), "of checkpoint_00000001; the best epoch ended at step 2"),
        (edit(protocol=3), "field protocol: Input should be a valid string"),
        (edit(metrics=[1]), "field metrics: Input should be a valid dictionary"),
        (edit(schema=2), "no evaluation of schema 1"),
        (lambda run: (run / "evaluation" / "test.json").write_text("{"), "not readable"),
        (from_another_run, "of another run, other"),
        (ranks_of_another_run, "no rank arrays: its sha256 is not the one"),
    ],
)
def test_a_hostile_file_is_left_out_with_its_reason_and_its_number_is_nowhere(
    damage: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    run = tmp_path / "e" / "a"
    make_run(run)
    damage(run)
    skipped: list[Problem] = []
    counted, left_out = filed(run, skipped)
    assert "test.json" not in counted
    reasons = [left.why for left in left_out if left.file == "test.json"] + [problem.what for problem in skipped]
    assert len(reasons) == 1 and why in reasons[0]
    board = read_board(tmp_path)
    assert board.skipped == skipped
    (row,) = board.rows
    assert row.test.rsum is None and row.val.rsum is not None
    assert list(board.left_out) == left_out


def test_a_copy_under_another_name_is_unknown_to_the_journal(tmp_path: Path) -> None:
    run = tmp_path / "e" / "a"
    make_run(run)
    shutil.copy(run / "evaluation" / "test.json", run / "evaluation" / "test.again.json")
    counted, left_out = filed(run)
    assert counted == ["test.json", "val.json"]
    assert [str(left) for left in left_out] == [
        "a test.again.json: the run's journal knows no such file; evaluate the run again"
    ]


def test_a_file_that_is_laid_out_anew_is_the_same(tmp_path: Path) -> None:
    run = tmp_path / "e" / "a"
    make_run(run)
    edit()(run)
    assert filed(run) == (["test.json", "val.json"], [])


def test_temperatures_that_were_searched_again_leave_test_out(tmp_path: Path) -> None:
    run = tmp_path / "e" / "a"
    make_run(run, temperatures=FR)
    assert filed(run)[1] == []
    change_evaluation(run, "val.rerank.json", rerank={"mode": "cross", "i2t": 7.0, "t2i": None})
    counted, left_out = filed(run)
    assert "test.rerank.json" not in counted
    assert [left.why for left in left_out] == ["under other temperatures than validation's; evaluate the run again"]
    (run / "evaluation" / "val.rerank.json").unlink()
    assert "no result of validation" in filed(run)[1][0].why


OLD = {"uid", "test_openings", "chance"}
"""Fields that files of earlier versions lack."""


def make_old(run: Path, rerank_event: bool = True) -> None:
    """Turn a made run into one of before files named their run, and journals digests."""
    events = Journal(run).read()
    lines = []
    for event in events:
        if event["event"] == "evaluation":
            if rerank_event and event["split"] == "val":
                continue  # a search logged its own event alone
            document = json.loads((run / "evaluation" / event["file"]).read_text())
            kind = "rerank/" if document["transductive"] else ""
            event = {key: value for key, value in event.items() if key != "digest"}
            event["metrics"] = {f"{kind}{event['split']}/{name}": value for name, value in document["metrics"].items()}
        lines.append(event)
    if rerank_event:
        metrics = json.loads((run / "evaluation" / "val.rerank.json").read_text())["metrics"]
        logged = {f"rerank/val/{name}": value for name, value in metrics.items()}
        lines.append({"event": "rerank", "time": 1.0, "metrics": logged, "kind": "rerank"})
    (run / "journal.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for path in (run / "evaluation").glob("*.json"):
        document = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in document.items() if key not in OLD}))


def test_files_of_earlier_versions_count_where_their_fields_agree(tmp_path: Path) -> None:
    run = tmp_path / "e" / "a"
    make_run(run, temperatures=FR)
    before = read_board(tmp_path).rows
    make_old(run)
    names = ["test.json", "test.rerank.json", "val.json", "val.rerank.json"]
    assert filed(run) == (names, [])
    after = read_board(tmp_path).rows
    assert [(row.val, row.test, row.openings) for row in after] == [(r.val, r.test, r.openings) for r in before]
    for name in names:
        path = run / "evaluation" / name
        written = path.read_text()
        document = json.loads(written)
        document["metrics"]["rsum"] += 0.1
        path.write_text(json.dumps(document))
        assert f"says rsum {document['metrics']['rsum']}, the run's journal" in filed(run)[1][0].why
        path.write_text(written)


def test_names_of_hostile_files_are_escaped_where_they_are_listed(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    (tmp_path / "e" / "a" / "evaluation" / "<b>\x1b[2J\n# x.json").write_text("[" * 100_000)
    board = read_board(tmp_path)
    for text in (to_text(board), to_markdown(board), to_html(board)):
        assert "\x1b" not in text and "\n# x" not in text and "\\x1b" in text and "x.json (not readable" in text
    assert "/<b>" not in to_markdown(board).partition("Left out")[2]
