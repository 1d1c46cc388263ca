"""`raytrain ensemble`: the mean of runs as a run of its own, what it refuses, and what a kill leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytrain.data.table import Table
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.review.accounting import read_journals
from raytrain.review.leaderboard import read_board
from raytrain.review.runs import runs_of
from raytrain.review.tables import to_text
from raytrain.run_evaluation.compare import compare_runs
from raytrain.run_evaluation.ensemble import ensemble_runs
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.run_evaluation.rerank import rerank_run
from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import read_run
from raytrain.training.run import load_run
from tests.runs import fit_here, tiny
from tests.tables import make_query_table, make_table

Runs = tuple[Path, Path]


def similarity(run: Path) -> np.ndarray:
    scores: np.ndarray = np.load(run / "evaluation" / "similarity_val.npy", allow_pickle=False)
    return scores


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Two composed runs on one table."""
    root = tmp_path_factory.mktemp("composed")
    table = make_query_table(root / "table")
    settings = {"encoder__pooling": "mean", "optim__batch_size": 30, "optim__max_steps": 2, "method__kind": "composed"}
    for name in ("sum", "text"):
        fit_here(tiny(table, root, name=name, **settings, method__composition=name))
    return root / "default" / "sum", root / "default" / "text"


def test_the_similarities_are_the_mean_of_the_members(copies: Runs) -> None:
    answer = ensemble_runs(copies, name="both")
    both = Path(answer["run"])
    assert both == copies[0].parent / "both"
    np.testing.assert_allclose(similarity(both), (similarity(copies[0]) + similarity(copies[1])) / 2, atol=1e-6)
    assert answer["method"] == "ensemble of 2: DVSE, VSE-infinity"


def test_standard_takes_each_members_own_mean_and_spread_of_validation(copies: Runs) -> None:
    both = Path(ensemble_runs(copies, "standard", "both")["run"])
    own = [similarity(run).astype(np.float64) for run in copies]
    expected = np.mean([(scores - scores.mean()) / scores.std() for scores in own], axis=0)
    np.testing.assert_allclose(similarity(both), expected, atol=1e-5)
    test = evaluate_run(both, "test")  # on the scale of validation
    recorded = read_run(both).start["ensemble"]["members"]
    assert [member["spread"] for member in recorded] == pytest.approx([scores.std() for scores in own], rel=1e-5)
    assert test["test_openings"] == 1


def test_an_ensemble_is_evaluated_reranked_compared_and_has_a_row(copies: Runs, best_of_all: None) -> None:
    pytest.importorskip("optuna", reason="the search of temperatures needs optuna")
    answer = ensemble_runs(copies, name="both")
    both = Path(answer["run"])
    plain = evaluate_run(both)
    assert plain["metrics"]["rsum"] == pytest.approx(answer["val"]["val/rsum"])
    searched = rerank_run(both, trials=0)
    assert searched["before"] == pytest.approx(plain["metrics"]["rsum"])
    assert evaluate_run(both)["rerank"]["rsum"] == pytest.approx(searched["after"])
    assert compare_runs([both], [copies[0]])["difference"] == pytest.approx(
        plain["metrics"]["rsum"] - read_run(copies[0]).best_metrics["val/rsum"]
    )
    board = read_board(both.parent.parent)
    row = next(row for row in board.rows if row.runs == ["both"] and not row.rerank)
    assert row.val.rsum == pytest.approx(plain["metrics"]["rsum"])
    assert "ensemble of 2: DVSE, VSE-infinity" in to_text(board)


def test_the_openings_of_test_are_counted_for_the_ensemble_and_in_all(copies: Runs) -> None:
    both = Path(ensemble_runs(copies, name="both")["run"])
    assert not [event for event in Journal(both).read() if event["event"] == "evaluation"]
    evaluate_run(copies[0], "test")
    counted = [evaluate_run(both, "test") for _ in range(2)]
    assert [each["test_openings"] for each in counted] == [1, 2]
    assert [each["test_openings_in_all"] for each in counted] == [2, 3]


def test_the_journal_names_members_commits_and_fingerprints(copies: Runs) -> None:
    start = read_run(Path(ensemble_runs(copies, name="both")["run"])).start
    members = start["ensemble"]["members"]
    assert [member["run"] for member in members] == [f"../{run.name}" for run in copies]
    for member, run in zip(members, copies, strict=True):
        own = read_run(run).start
        assert (member["uid"], member["commit"]) == (own["uid"], own["commit"])
        assert member["fingerprint"] == own["fingerprint"] == start["fingerprint"]


def test_ensembles_of_other_seeds_are_one_row_and_of_other_settings_another(copies: Runs, table: Table) -> None:
    storage = copies[0].parent.parent
    for name, changes in {"s1": {"seed": 1}, "s2": {"seed": 2}, "lr": {"seed": 1, "optim__lr": 0.01}}.items():
        fit_here(tiny(table, storage, name=name, optim__max_steps=1, method__kind="vse_infinity", **changes))
    folder = copies[0].parent
    for first, second in (("s1", "s2"), ("s2", "s1"), ("s1", "lr")):
        ensemble_runs([folder / first, folder / second], name=f"{first}-{second}")
    rows = [row.runs for row in read_board(storage).rows if "ensemble" in row.method]
    assert sorted(map(sorted, rows)) == [["s1-lr"], ["s1-s2", "s2-s1"]]


def test_composed_runs_are_averaged(composed: Runs) -> None:
    answer = ensemble_runs(composed, name="both")
    assert answer["method"] == "ensemble of 2: Sum, Text only"
    assert answer["val"]["val/rsum"] == pytest.approx(evaluate_run(answer["run"])["metrics"]["rsum"])
    with pytest.raises(RefusedError, match="composed queries"):
        rerank_run(answer["run"], trials=0)


def test_a_member_that_was_trained_anew_is_refused(copies: Runs, table: Table) -> None:
    both = Path(ensemble_runs(copies, name="both")["run"])
    copies[1].rename(copies[1].with_name("old"))
    with pytest.raises((DataError, UsageError), match="vse"):
        evaluate_run(both)
    fit_here(tiny(table, both.parent.parent, name="vse", seed=5, optim__max_steps=3, method__kind="vse_infinity"))
    with pytest.raises(RefusedError, match="other weights"):
        evaluate_run(both)


def test_members_and_ensemble_may_move_together(copies: Runs, tmp_path: Path) -> None:
    both = Path(ensemble_runs(copies, name="both")["run"])
    before = evaluate_run(both)["metrics"]
    both.parent.rename(tmp_path / "moved")
    assert evaluate_run(tmp_path / "moved" / "both")["metrics"] == before


def test_what_needs_one_model_names_the_members(copies: Runs) -> None:
    both = Path(ensemble_runs(copies, name="both")["run"])
    with pytest.raises(UsageError, match=r"is an ensemble, .* give one of its runs: .*dvse, .*vse"):
        load_run(both)
    with pytest.raises(UsageError, match="is an ensemble"):
        ensemble_runs([both, copies[0]])


def test_what_cannot_be_averaged_is_refused(copies: Runs, composed: Runs, tmp_path: Path) -> None:
    other = tiny(make_table(tmp_path / "other", seed=1), tmp_path, name="other", optim__max_steps=1)
    fit_here(other)
    journal = tmp_path / "unfinished"
    Journal(journal).write("start", kind="run", fingerprint="a" * 64, config={})
    for folders, error, message in (
        ([copies[0]], UsageError, "two runs or more"),
        ([copies[0], copies[0]], UsageError, "each named once"),
        ([copies[0], tmp_path / "nothing"], UsageError, "not the folder of a run"),
        ([copies[0], journal], RefusedError, "has not finished"),
        ([copies[0], other.folder], RefusedError, "dvse and other were trained on other data: fingerprints"),
        ([copies[0], composed[0]], RefusedError, "trained on other data"),
    ):
        with pytest.raises(error, match=message):
            ensemble_runs(folders)
    with pytest.raises(UsageError, match="no scale 'half'"):
        ensemble_runs(copies, "half")
    with pytest.raises(UsageError, match="letters, digits"):
        ensemble_runs(copies, name="../away")
    with pytest.raises(RefusedError, match="holds a run"):
        ensemble_runs(copies, name="dvse")


def test_one_that_was_killed_while_it_was_made_is_no_run(copies: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Journal.write

    def killed(self: Journal, event: str, **fields: object) -> None:
        if event == "end":
            raise KeyboardInterrupt
        write(self, event, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            ensemble_runs(copies, name="both")
    storage = copies[0].parent.parent
    assert {run.name for run in runs_of(read_journals(storage))} == {"dvse", "vse"}
    both = Path(ensemble_runs(copies, name="both")["run"])
    assert [event["event"] for event in Journal(both).read()] == ["start", "epoch", "end"]
    assert sorted(path.name for path in both.iterdir()) == ["evaluation", "journal.jsonl"]
