"""`compare`: recorded ranks, paired; pictures of the queries that differ most; nothing of test uncounted."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.table import Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.report import read_evaluations, read_ranks
from raytrain.review.two_sides import compare_sides
from raytrain.run_evaluation.compare import compare_runs
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.tracking.journal import Journal
from raytrain.training.run import train
from tests.runs import tiny
from tests.tables import make_table

Runs = tuple[Path, Path]


def plain_ranks(run: Path, split: str = "val") -> dict[str, np.ndarray]:
    (evaluation,) = [e for e in read_evaluations(run) if e["split"] == split and not e["rerank"]]
    return read_ranks(evaluation) or {}


def test_recorded_ranks_are_compared_and_missing_ones_of_validation_are_made(copies: Runs) -> None:
    evaluate_run(copies[0])
    events = [len(Journal(run).read()) for run in copies]
    answer = compare_runs(copies[:1], copies[1:])
    assert len(Journal(copies[0]).read()) == events[0] and len(Journal(copies[1]).read()) == events[1] + 1
    sides = compare_sides([plain_ranks(copies[0])], [plain_ranks(copies[1])], ({}, {}))
    rsum = sides.metrics["rsum"]
    assert (answer["difference"], answer["interval"], answer["p"]) == (rsum.difference, list(rsum.interval), rsum.p)
    assert answer["settings"]["method.kind"] == ["dvse", "vse_infinity"] and answer["covers"] == "images"
    assert answer["changes"]["t2i"] == sides.changes["t2i"].counts and answer["html"] is None
    assert (answer["a"]["name"], answer["a"]["seeds"], answer["queries"]["t2i"]) == ("dvse", [0], 30)


def test_the_page_shows_both_rankings_of_the_queries_that_differ_most(copies: Runs, tmp_path: Path) -> None:
    html5lib = pytest.importorskip("html5lib")
    answer = compare_runs(copies[:1], copies[1:], html=tmp_path / "page.html")
    text = Path(answer["html"]).read_text(encoding="utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    assert "default-src 'none'" in text and not re.search(r"https?://|url\(|<script", text)
    a, b = (plain_ranks(run)["t2i"] + 1 for run in copies)
    best = np.argmax(b / a)  # the first of equals
    section = text.partition("A is better, caption to images")[2].partition("</details>")[0]
    ranks = [int(rank) for rank in re.findall(r"right answer at rank (\d+) of 6", section)]
    assert ranks[:2] == [a[best], b[best]] and all(x < y for x, y in zip(ranks[::2], ranks[1::2], strict=True))
    assert "no picture" in section, "the made-up table has no image files"


def test_test_is_compared_where_both_opened_it_and_pictures_count_as_openings(
    copies: Runs, table: Table, tmp_path: Path
) -> None:
    evaluate_run(copies[0], "test")
    for html in (None, tmp_path / "page.html"):
        with pytest.raises(RefusedError, match="vse has no evaluation of test"):
            compare_runs(copies[:1], copies[1:], "test", html=html)
    evaluate_run(copies[1], "test")

    def openings() -> int:
        return len((table.path / OPENINGS).read_text().splitlines())

    assert openings() == 2
    compare_runs(copies[:1], copies[1:], "test")
    assert openings() == 2
    compare_runs(copies[:1], copies[1:], "test", html=tmp_path / "page.html")
    assert openings() == 4


def test_seeds_stand_together_and_other_settings_do_not(copies: Runs, table: Table, tmp_path: Path) -> None:
    seed = tiny(table, tmp_path, name="seed", seed=1, optim__max_steps=3, method__kind="dvse", method__views=2)
    train(seed)
    answer = compare_runs([copies[0], seed.folder], copies[1:], html=tmp_path / "page.html")
    assert (answer["a"]["name"], answer["a"]["seeds"]) == ("dvse and 1 more", [0, 1])
    assert "first run of each side" in Path(answer["html"]).read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"no seeds of one run: method\.kind"):
        compare_runs(copies, [seed.folder])


def test_runs_of_one_name_are_told_apart_by_their_experiment(copies: Runs, tmp_path: Path) -> None:
    other = Path(shutil.copytree(copies[1], tmp_path / "other" / "dvse"))
    answer = compare_runs(copies[:1], [other])
    assert (answer["a"]["name"], answer["b"]["name"]) == ("default/dvse", "other/dvse")


def test_what_cannot_be_compared_is_refused_in_one_line(copies: Runs, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on both sides"):
        compare_runs(copies[:1], copies[:1])
    with pytest.raises(UsageError, match="not the folder of a run"):
        compare_runs(copies[:1], [tmp_path])
    other = tiny(make_table(tmp_path / "table", seed=1), tmp_path, name="other", optim__max_steps=1)
    train(other)
    with pytest.raises(RefusedError, match="trained on other data") as error:
        compare_runs(copies[:1], [other.folder])
    assert "\n" not in str(error.value)
    open_run = Path(shutil.copytree(copies[1], tmp_path / "open"))
    journal = open_run / "journal.jsonl"
    journal.write_text("".join(line for line in journal.read_text().splitlines(True) if '"end"' not in line))
    with pytest.raises(RefusedError, match="has not finished"):
        compare_runs(copies[:1], [open_run])
    with pytest.raises(UsageError, match="no contact sheet"):
        compare_runs(copies[:1], copies[1:], "val", "fashioniq/original", html=tmp_path / "page.html")
