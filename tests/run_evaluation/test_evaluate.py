"""`raytrain evaluate` on runs: published protocols, test openings, re-ranked results, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.cli.main import main
from raytrain.config import RunConfig, override
from raytrain.data.build import build
from raytrain.data.table import AnySplit, Split, Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.data.table.writer import add_feature
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.evaluation.protocols import cirr as cirr_protocol
from raytrain.evaluation.protocols.protocols import Result, evaluate
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.files import sha256
from raytrain.methods.dvse import DVSE
from raytrain.review.leaderboard import read_board
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.tables import to_csv, to_markdown, to_text
from raytrain.run_evaluation.evaluate import evaluate_run, searched_temperatures, submit_run
from raytrain.run_evaluation.rerank import rerank_run
from raytrain.run_evaluation.rescore import Rescore
from raytrain.tracking.events import why_no_event
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.run import train, unchanged_table
from tests.data.triplets import cirr, fashion_iq
from tests.review.made_runs import write_search
from tests.runs import fit_here, tiny
from tests.scoring.published import coco, mentioned, packaged
from tests.tables import make_query_table

COMPOSED: dict[str, Any] = {
    "method__kind": "composed", "encoder__pooling": "mean", "optim__batch_size": 2, "optim__num_epochs": 1,
}  # fmt: skip


QUERIES: dict[str, Any] = {
    "method__kind": "composed", "encoder__dim": 16, "encoder__pooling": "mean", "optim__batch_size": 30,
    "optim__lr": 1e-2, "method__dropout": 0.0, "data__word_drop": 0.0,
}  # fmt: skip


def with_features(table: Table) -> Table:
    """Random features of the names that recipes use."""
    random = np.random.default_rng(0)
    lengths = np.full(len(table.texts), 3)
    arrays = {
        "lite0": ("image", random.standard_normal((len(table.items), 2, 8)), None),
        "minilm": ("text", random.standard_normal((int(lengths.sum()), 6)), np.concatenate([[0], lengths.cumsum()])),
    }
    for name, (kind, rows, offsets) in arrays.items():
        files = {".npy": table.path / "features" / "rows.npy"}
        np.save(files[".npy"], rows.astype(np.float16))
        if offsets is not None:
            files[".offsets.npy"] = table.path / "features" / "offsets.npy"
            np.save(files[".offsets.npy"], offsets)
        add_feature(table, name, kind, {"backbone": "made up", "global_index": 1}, files)  # type: ignore[arg-type]
    return Table(table.path)


def trained(table: Table, storage: Path, **changes: Any) -> RunConfig:
    config = tiny(with_features(table), storage, **changes)
    fit_here(config)
    return config


@pytest.fixture(scope="module")
def finished(table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, which tests copy before they write to it."""
    config = tiny(table, tmp_path_factory.mktemp("finished"), optim__max_steps=3)
    train(config)
    return config.folder


@pytest.fixture
def run(finished: Path, table: Table, tmp_path: Path) -> Path:
    """A copy of the finished run, and nobody has opened the test split of its table yet."""
    (table.path / OPENINGS).unlink(missing_ok=True)
    return Path(shutil.copytree(finished, tmp_path / "default" / "run"))


def evaluations(run: Path) -> list[dict[str, Any]]:
    return [event for event in Journal(run).read() if event["event"] == "evaluation"]


def logged_rsum(run: Path) -> float:
    """Of the run's only epoch: the same model on the same split."""
    event = Journal(run).last("epoch")
    assert event is not None
    return float(event["metrics"]["val/rsum"])


def test_features_are_verified_unless_told_otherwise_which_is_recorded(run: Path, tmp_path: Path) -> None:
    saved = checkpoint.load(checkpoint.best(run) or run)
    table = Path(shutil.copytree(saved.config.data.table, tmp_path / "table"))
    path = table / "features" / "lite0.npy"
    values = np.load(path)
    np.save(path, values[::-1])
    moved = replace(saved, config=override(saved.config, {"data.table": str(table)}))
    with pytest.raises(RefusedError, match=r"lite0\.npy: changed after it was written"):
        unchanged_table(moved).array("lite0")
    assert unchanged_table(moved, verify_features=False).array("lite0").shape == values.shape
    plain, unverified = evaluate_run(run), evaluate_run(run, verify_features=False)
    assert (plain["features_verified"], unverified["features_verified"]) == (True, False)
    assert set(unverified["notes"]) - set(plain["notes"]) == {"features were not compared with table.json"}
    assert unverified["metrics"] == plain["metrics"]
    (file,) = unverified["files"]
    assert json.loads(Path(file).read_text())["features_verified"] is False


def test_the_whole_split_is_evaluated_and_written(run: Path) -> None:
    answer = evaluate_run(run)
    assert (answer["protocol"], answer["split"], answer["headline"]) == ("split/val", "val", "rsum")
    recorded, written = Journal(run).last("evaluation") or {}, json.loads(Path(answer["files"][0]).read_text())
    shown = ("headline", "intervals", "interval_level")
    assert {name: recorded[name] for name in shown} == {name: written[name] for name in shown}
    assert why_no_event(recorded) is None and recorded["intervals"]["rsum"][0] < answer["metrics"]["rsum"]
    assert (answer["rerank"], answer["inductive"], answer["diagnostics"], answer["test_openings"]) == (None,) * 3 + (0,)
    best = checkpoint.best(run)
    assert best is not None
    assert answer["metrics"]["rsum"] == logged_rsum(run)
    (file,) = answer["files"]
    written = json.loads(Path(file).read_text())
    assert (written["checkpoint"], written["fingerprint"]) == (best.name, answer["fingerprint"])
    (event,) = evaluations(run)
    assert (event["file"], event["rerank"]) == ("val.json", None)
    assert event["metrics"]["val/rsum"] == answer["metrics"]["rsum"]


def test_a_table_that_was_moved_is_named_anew_and_has_to_be_the_same(run: Path, tmp_path: Path) -> None:
    before = evaluate_run(run)
    recorded = Path(checkpoint.load(checkpoint.best(run) or run).config.data.table)
    moved, other = tmp_path / "moved", tmp_path / "other"
    recorded.rename(moved)
    try:
        with pytest.raises(DataError, match=r"table\.json: not found.*table=.FOLDER"):
            evaluate_run(run)
        assert evaluate_run(run, table=moved)["metrics"] == before["metrics"]
        make_query_table(other)
        with pytest.raises((RefusedError, UsageError, DataError)):
            evaluate_run(run, table=other)
    finally:
        moved.rename(recorded)


def test_openings_of_the_test_split_are_counted_and_those_of_others_are_not(run: Path) -> None:
    counts = [evaluate_run(run, split)["test_openings"] for split in ("val", "test", "train", "test")]
    assert counts == [0, 1, 1, 2]
    assert [event["test_openings"] for event in evaluations(run)] == counts


@pytest.mark.parametrize(
    ("protocol", "split"),
    [
        ("split/test", "val"), ("karpathy/test", "val"), ("class/test", "val"), ("split/train", "val"),
        ("split/val", "test"), ("split/test", "train"), ("coco/1k5f", "val"), ("partial/coco/eccv", "val"),
        ("flickr30k/1k", "val"),
    ],
)  # fmt: skip
def test_a_protocol_of_another_split_is_a_wrong_command_and_opens_nothing(
    protocol: str, split: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--split", split, "--protocol", protocol]) == 2
    assert f"protocol {protocol} is of split" in capsys.readouterr().err
    assert evaluations(run) == [] and not list((run / "evaluation").glob(f"*{protocol.replace('/', '-')}*"))


def test_an_evaluation_file_states_split_protocol_data_run_and_openings(run: Path) -> None:
    for openings in (1, 2):
        answer = evaluate_run(run, "test")
        written = json.loads(Path(answer["files"][0]).read_text())
        names = ("split", "protocol", "fingerprint", "uid", "test_openings", "test_openings_in_all")
        stated = {name: written[name] for name in names}
        start = Journal(run).last("start")
        assert start is not None
        assert stated == {
            "split": "test", "protocol": "split/test", "fingerprint": answer["fingerprint"], "uid": start["uid"],
            "test_openings": openings, "test_openings_in_all": openings,
        }  # fmt: skip


def test_a_copied_or_renamed_run_goes_on_counting_openings(run: Path, table: Table, tmp_path: Path) -> None:
    assert evaluate_run(run, "test")["test_openings"] == 1
    copied = Path(shutil.copytree(run, tmp_path / "elsewhere" / "copied"))
    assert evaluate_run(copied, "test")["test_openings"] == 2
    events = [event for event in Journal(copied).read() if event["event"] != "evaluation"]
    events[0]["uid"] = "forged"
    renamed = Path(shutil.move(copied, tmp_path / "elsewhere" / "renamed"))
    (renamed / "journal.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    answer = evaluate_run(renamed, "test")
    assert (answer["test_openings"], answer["test_openings_in_all"]) == (3, 3)
    (table.path / OPENINGS).unlink()  # the file beside the runs counts too
    assert evaluate_run(renamed, "test")["test_openings"] == 3  # two of them were counted beside it
    assert evaluate_run(run, "val")["test_openings"] >= 1


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_no_path_ranks_scores_of_half_precision(
    precision: torch.dtype, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    similarity = DVSE.similarity
    monkeypatch.setattr(DVSE, "similarity", lambda *given: similarity(*given).to(precision))
    whole = Temperatures("cross", 5.0, 5.0)
    for options in ({}, {"split": "test"}, {"diagnostics": True}, {"protocol": "class/val"}):
        with pytest.raises(UsageError, match=r"DVSE.similarity gives torch\.b?float16"):
            evaluate_run(run, **options)  # type: ignore[arg-type]
    write_search(run, {}, whole, "rerank.json")
    with pytest.raises(UsageError, match="has to compute in float32"):
        evaluate_run(run)
    rescore = Rescore(run)
    for bank in (0, 6):
        with pytest.raises(UsageError, match="has to compute in float32"):
            rescore("mean", bank, 0, rescore.checkpoint)
    assert evaluations(run) == []
    similarities = run / "evaluation" / "similarity_val.npy"
    np.save(similarities, np.load(similarities).astype(np.float16))
    facts = json.loads(similarities.with_suffix(".json").read_text())
    similarities.with_suffix(".json").write_text(json.dumps(facts | {"sha256": sha256(similarities)}))
    with pytest.raises(DataError, match="float16"):
        rerank_run(run, trials=0)


def test_a_table_that_cannot_be_written_gives_a_warning_and_the_runs_folder_counts(
    run: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    (table.path / OPENINGS).mkdir()  # which nobody can append to, not even root
    try:
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            assert [evaluate_run(run, "test")["test_openings"] for _ in range(2)] == [1, 2]
    finally:
        (table.path / OPENINGS).rmdir()


@pytest.mark.parametrize("status", ["failed", "interrupted", None])
def test_the_test_split_stays_closed_to_a_run_that_has_not_finished(status: str | None, run: Path) -> None:
    lines = (run / "journal.jsonl").read_text().splitlines(keepends=True)
    (run / "journal.jsonl").write_text("".join(line for line in lines if '"end"' not in line))
    if status is not None:
        Journal(run).write("end", status=status, error=None, metrics={})
    with pytest.raises(RefusedError, match="has not finished; the test split is for finished runs"):
        evaluate_run(run, "test")
    assert evaluations(run) == []
    evaluate_run(run, "val")
    Journal(run).write("end", status="pruned", error=None, metrics={})
    assert evaluate_run(run, "test")["test_openings"] == 1


def test_a_checkpoints_folder_is_no_run(run: Path) -> None:
    path = checkpoint.latest(run)
    assert path is not None
    with pytest.raises(UsageError, match="is a checkpoint; give its run"):
        evaluate_run(path)


def test_options_that_a_protocol_does_not_read_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="annotations is for coco/cxc; split/val reads none"):
        evaluate_run(run, annotations=tmp_path)
    with pytest.raises(UsageError, match="no split 'vall'"):
        evaluate_run(run, "vall")
    with pytest.raises(UsageError, match="source cirr; this one is of made up"):
        submit_run(run, "val", tmp_path / "out")
    assert evaluations(run) == []


def test_a_ranker_stands_in_for_this_process_and_re_ranking_is_left_out(run: Path) -> None:
    rerank_run(run, trials=4)
    ranked: list[tuple[Path, str, str]] = []

    def ranker(saved: Path, split: AnySplit, protocol: str) -> Result:
        ranked.append((saved, split.name, protocol))
        assert isinstance(split, Split)
        generator = torch.Generator().manual_seed(0)
        scores = torch.rand(len(split.texts), len(split.items), generator=generator)
        return evaluate(scores, torch.from_numpy(split.item_of_text), protocol)

    answer = evaluate_run(run, "val", ranker=ranker)
    assert ranked == [(checkpoint.best(run), "val", "split/val")]
    assert answer["metrics"]["rsum"] != logged_rsum(run)
    assert answer["rerank"] is None
    assert [event["metrics"]["val/rsum"] for event in evaluations(run)] == [answer["metrics"]["rsum"]]
    with pytest.raises(UsageError, match="leave shards out"):
        evaluate_run(run, ranker=ranker, diagnostics=True)


def test_searched_temperatures_are_evaluated_beside_the_plain_scores(run: Path) -> None:
    plain = evaluate_run(run)["metrics"]
    temperatures = Temperatures("cross", 5.0, 5.0)
    write_search(run, {}, temperatures, "rerank.json")
    answer = evaluate_run(run)
    assert answer["metrics"] == plain
    assert answer["rerank"]["rsum"] != plain["rsum"]
    assert [Path(file).name for file in answer["files"]] == ["val.json", "val.rerank.json"]
    assert evaluations(run)[-1]["metrics"]["rerank/val/rsum"] == answer["rerank"]["rsum"]
    assert evaluate_run(run, "test")["test_openings"] == 1  # plain and re-ranked are one opening
    assert evaluate_run(run, "test")["test_openings"] == 2


def test_what_re_ranking_lowers_is_told_with_the_result_and_in_its_file(run: Path) -> None:
    falls = []
    for scale in (1.0, 20.0, 300.0):
        write_search(run, {}, Temperatures("cross", scale, scale), "rerank.json")
        answer = evaluate_run(run, "train")
        fallen = answer["lowered"]["rerank"]
        expected = {
            name: value - answer["rerank"][name]
            for name, value in answer["metrics"].items()
            if value > answer["rerank"][name] + 1e-9 and ("recall_at" in name or name == "rsum")
        }
        assert fallen == pytest.approx(expected)
        notes = json.loads((run / "evaluation" / "train.rerank.json").read_text())["notes"]
        assert any(note.startswith("re-ranking lowers train") for note in notes) == bool(fallen)
        assert [note for note in answer["notes"] if "lowers" in note] == [note for note in notes if "lowers" in note]
        falls.append(fallen)
    assert any(falls)


def test_a_bank_is_not_evaluated_on_the_queries_that_it_holds(run: Path) -> None:
    temperatures = Temperatures("cross", 5.0, 5.0, i2t_bank=6, t2i_bank=6)
    write_search(run, {}, temperatures, "rerank.inductive.json")
    assert evaluate_run(run, "val")["inductive"]["rsum"] > 0
    assert evaluate_run(run, "train")["inductive"] is None


def test_of_searches_that_gained_nothing_there_is_none(tmp_path: Path) -> None:
    assert searched_temperatures(tmp_path) == []
    write_search(tmp_path, {}, Temperatures("off", 0.0, 0.0), "rerank.json")
    assert searched_temperatures(tmp_path) == []
    bank = Temperatures("cross", 2.0, 2.0, i2t_bank=3, t2i_bank=3)
    write_search(tmp_path, {}, bank, "rerank.inductive.json")
    assert searched_temperatures(tmp_path) == [bank]
    over_queries = Temperatures("cross", 3.0, 3.0)
    write_search(tmp_path, {}, over_queries, "rerank.json")
    assert searched_temperatures(tmp_path) == [over_queries, bank]


def test_a_composed_run_is_evaluated_and_stands_on_the_board(tmp_path: Path) -> None:
    queries = make_query_table(tmp_path / "queries")
    for seed in (0, 1):
        made = tiny(queries, tmp_path, **QUERIES, name=f"sum{seed}", seed=seed, method__composition="sum")
        fit_here(made)
        for split in ("val", "test"):
            answer = evaluate_run(made.folder, split)
    assert answer["queries"] == {"query": 60}
    assert answer["gallery"] == {"query": 29}  # 30 items of the split without the reference
    assert set(answer["metrics"]) >= {"recall_at_1", "recall_at_10", "recall_at_50", "rsum", "map_at_r"}
    assert not (made.folder / "evaluation" / "similarity_val.npy").exists()
    with pytest.raises(UsageError, match="no protocol 'coco/5k'"):
        evaluate_run(made.folder, "test", "coco/5k")
    with pytest.raises(RefusedError, match="composed queries"):
        rerank_run(made.folder)

    board = read_board(tmp_path)
    (row,) = board.rows
    assert (row.method, row.composed, row.seeds) == ("composed/sum", True, [0, 1])
    assert row.test.rsum == pytest.approx(sum(row.test.metrics[f"recall_at_{k}"] for k in (1, 10, 50)))
    assert row.interval.low < row.test.rsum < row.interval.high
    assert row.test.metrics["i2t/recall_at_1"] is None
    text, page = to_text(board), to_html(board)
    assert "test R@1/10/50 mAP@R" in text
    assert "Sum" in text
    assert "image and text to image" in page
    assert "mAP@R" in page
    assert "mAP@R" in to_markdown(board)
    assert "test/map_at_r" in to_csv(board).splitlines()[0]


@pytest.fixture(scope="module")
def cirr_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cirr")
    table = build("cirr", cirr(folder / "root"), folder / "table")
    return trained(table, folder / "runs", experiment="cirr", **COMPOSED).folder


def test_cirr_is_evaluated_from_the_command_line(cirr_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(cirr_run), "--protocol", "cirr/val"]) == 4
    assert "2 queries instead of 4,181" in capsys.readouterr().err
    assert main(["evaluate", str(cirr_run), "--protocol", "partial/cirr/val", "--json"]) == 0
    printed = capsys.readouterr()
    lines, answer = printed.err.splitlines(), json.loads(printed.out)
    assert answer["headline"] == "cirr/mean_recall"
    assert answer["gallery"] == {"query": 7, "subset": 5}
    assert any("partial/cirr/val: " in line and "cirr/mean_recall" in line for line in lines)
    assert "  queries: query 2, subset 2" in lines
    assert any("8 images instead of 2,297" in line for line in lines)
    assert Path(answer["files"][0]).name == "val.partial-cirr-val.json"  # and not in place of the whole split's


def test_the_board_shows_the_headline_of_such_a_protocol(cirr_run: Path) -> None:
    value = evaluate_run(cirr_run, "val", "partial/cirr/val")["metrics"]["cirr/mean_recall"]
    board = read_board(cirr_run.parents[1])
    (row,) = [row for row in board.rows if row.protocol == "partial/cirr/val"]
    assert (row.headline.name, row.headline.value) == ("val cirr/mean_recall", value)
    assert row.test.rsum is None
    for text in (to_text(board), to_markdown(board), to_html(board)):
        assert "val cirr/mean_recall" in text
        assert f"{value:.1f}" in text
    assert "headline_value" in to_csv(board).splitlines()[0]


def test_the_servers_files_come_from_the_test_split_and_its_opening_is_counted(
    cirr_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["evaluate", str(cirr_run), "--split", "test", "--submission", str(out), "--json"]
    assert main(command) == 4
    assert "asks for all of test1" in capsys.readouterr().err
    assert main([*command, "--protocol", "cirr/val"]) == 2
    assert "no --protocol" in capsys.readouterr().err
    monkeypatch.setattr(cirr_protocol, "TEST", (2, 8))
    assert main(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["test_openings"] == 1
    event = Journal(cirr_run).last("evaluation")
    assert event is not None and (event["split"], event["protocol"]) == ("test", "cirr/test1")
    listed = json.loads((out / "cirr_recall.json").read_text())
    subset = json.loads((out / "cirr_recall_subset.json").read_text())
    assert set(listed) == set(subset) == {"version", "metric", "20", "21"}
    assert set(listed["20"]) == {f"test1-{at}-img0" for at in range(7)}  # item 7 is the reference
    assert len(subset["20"]) == 3 and set(subset["20"]) <= {f"test1-{at}-img0" for at in range(2, 7)}


def test_fashion_iq_asks_each_pair_in_both_orders(tmp_path: Path) -> None:
    table = build("fashion_iq", fashion_iq(tmp_path / "root"), tmp_path / "table")
    run = trained(table, tmp_path / "runs", **COMPOSED).folder
    with pytest.raises(RefusedError, match="2 dress pairs instead of 2,017"):
        evaluate_run(run, "val", "fashioniq/original")
    once = evaluate_run(run, "val", "partial/fashioniq/original")
    twice = evaluate_run(run, "val", "partial/fashioniq/val_union")
    assert once["queries"] == {"dress": 2, "shirt": 2, "toptee": 2}
    assert twice["queries"] == {"dress": 4, "shirt": 4, "toptee": 4}
    assert (once["gallery"]["dress"], twice["gallery"]["dress"]) == (3, 2)
    assert once["metrics"]["fashioniq_original/mean_recall"] == 100  # there are but three images to find
    assert mentioned(twice["notes"], "2 shirt pairs instead of 2,038")
    assert not mentioned(twice["notes"], "4 shirt pairs")


@packaged
def test_coco_is_asked_by_eccv_and_cxc_and_tells_what_it_lacks(tmp_path: Path) -> None:
    table = build("karpathy", coco(tmp_path / "root"), tmp_path / "table")
    run = trained(table, tmp_path / "runs", method__kind="vse_infinity", optim__batch_size=4).folder
    with pytest.raises(RefusedError, match="8 images instead of 5,000"):
        evaluate_run(run, "test", "coco/eccv")
    eccv = evaluate_run(run, "test", "partial/coco/eccv")
    assert eccv["queries"]["i2t"] == 8
    assert mentioned(eccv["notes"], "i2t: 1,253 queries are not here")
    assert mentioned(eccv["notes"], "positives are not in the gallery")
    assert {"eccv/i2t_map_at_r", "eccv/t2i_r_precision", "eccv/map_at_r"} <= set(eccv["metrics"])
    event = Journal(run).last("evaluation")
    assert event is not None and "test/eccv/i2t_map_at_r" in event["metrics"]

    cxc = evaluate_run(run, "test", "partial/coco/cxc")
    with pytest.raises(UsageError, match="annotations is for coco/cxc"):
        evaluate_run(run, "test", "partial/coco/eccv", tmp_path)
    assert mentioned(cxc["notes"], "i2i is missing: sis_test.csv") and mentioned(
        cxc["notes"], "t2t is missing: sts_test.csv"
    )
    names = [f"COCO_val2014_{int(image):012d}.jpg" for image in table.items["id"].to_pylist()]
    pairs = "".join(f"{name},{names[0]},3.1\n" for name in names[1:3])
    (tmp_path / "sis_test.csv").write_text("image1,image2,agg_score\n" + pairs)
    (tmp_path / "sts_test.csv").write_text("caption1,caption2,agg_score\n")
    cxc = evaluate_run(run, "test", "partial/coco/cxc", tmp_path)
    assert cxc["queries"]["i2i"] == 3
    assert cxc["queries"]["t2t"] == len(table.split("test", True).texts)  # captions of one image answer each other
    assert cxc["gallery"]["i2i"] == 7
