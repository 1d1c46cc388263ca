"""Contact sheets of runs: what they show is what the evaluation counted, and test opens to nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from raytrain.data.table import QuerySplit, Table
from raytrain.data.table.test_guard import OPENINGS
from raytrain.errors import UsageError
from raytrain.evaluation.contact_sheet import ContactSheet
from raytrain.evaluation.report import read_evaluations, read_ranks
from raytrain.review.leaderboard import read_board
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.run_evaluation.sheets import credits_of, evaluate_with_sheet
from tests.runs import fit_here, tiny
from tests.tables import make_query_table, make_table

Runs = tuple[Path, Path]


def ranks_by_name(run: Path) -> dict[str, dict[str, np.ndarray]]:
    """{"val", "val.rerank": ranks} of the evaluation files."""
    return {Path(e["file"]).name.removesuffix(".json"): read_ranks(e) or {} for e in read_evaluations(run)}


def test_every_rank_shown_is_the_one_that_the_evaluation_file_holds(copies: Runs, table: Table) -> None:
    answer = evaluate_with_sheet(copies[0])
    assert [Path(path).name for path in answer["sheets"]] == ["val.sheet.json", "val.rerank.sheet.json"]
    plain, reranked = (ContactSheet.model_validate_json(Path(path).read_text()) for path in answer["sheets"])
    assert [(section.rule, section.direction) for section in plain.sections] == [
        (rule, direction) for rule in ("random", "worst", "contested") for direction in ("t2i", "i2t")
    ]
    assert [section.rule for section in reranked.sections] == ["improved", "improved"]
    ranks, split = ranks_by_name(copies[0]), table.split("val")
    for sheet, files in ((plain, ["val"]), (reranked, ["val", "val.rerank"])):
        for section in sheet.sections:
            assert section.queries
            for query in section.queries:
                shown = [ranking.best.rank - 1 for ranking in query.rankings]
                assert shown == [ranks[file][section.direction][query.position] for file in files]
                for ranking in query.rankings:
                    scores = [entry.score for entry in ranking.first]
                    assert scores == sorted(scores, reverse=True) and len(scores) == 5
                    right = [entry.rank for entry in ranking.first if entry.right]
                    assert min(right, default=ranking.best.rank) == ranking.best.rank and ranking.best.right
    texts, items = table.texts["text"].to_pylist(), table.items["id"].to_pylist()
    for query in plain.sections[0].queries:  # captions at random: the right image is the caption's own
        assert query.text == texts[split.texts[query.position]]
        assert query.rankings[0].best.id == items[split.items[split.item_of_text[query.position]]]
        assert all(entry.item_view in (0, 1) for entry in query.rankings[0].first)
    assert Path(answer["sheet_page"]).name == "val.sheet.html"
    assert not read_board(copies[0].parents[1]).left_out, "a sheet is no evaluation that does not count"


def plain_sheet(run: Path) -> ContactSheet:
    """The sheet of a run's validation without re-ranking."""
    return ContactSheet.model_validate_json(Path(evaluate_with_sheet(run)["sheets"][0]).read_text())


def test_credits_are_those_of_the_pictures_shown(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=4)
    names = ["Ann", "", "Bob", "Ann"]
    credited = table.items.set_column(table.items.schema.get_field_index("attribution"), "attribution", [names])
    shown = cast(Table, SimpleNamespace(items=credited))
    assert credits_of(shown, {"3.jpg", "1.jpg", "0.jpg", "elsewhere.jpg"}) == ["Ann"]
    assert credits_of(shown, {"2.jpg", "0.jpg"}) == ["Ann", "Bob"] and credits_of(shown, set()) == []


def test_the_rules_draw_what_they_say(copies: Runs) -> None:
    sheet = plain_sheet(copies[1])
    worst = next(section for section in sheet.sections if (section.rule, section.direction) == ("worst", "t2i"))
    ranks = [query.rankings[0].best.rank for query in worst.queries]
    every = ranks_by_name(copies[1])["val"]["t2i"] + 1
    assert ranks == sorted(ranks, reverse=True) and ranks[0] == every.max()
    rights = [query.rankings[0].best.id for query in worst.queries]
    assert len(rights) == len(set(rights)) == 6, "one caption of each of the 6 images"


def test_a_sheet_of_test_is_part_of_one_counted_opening(copies: Runs, table: Table) -> None:
    run = copies[1]
    evaluate_run(run, "test")
    counted = (table.path / OPENINGS).read_text()
    answer = evaluate_with_sheet(run, "test", seed=3)
    assert answer["test_openings"] == 2 and len((table.path / OPENINGS).read_text()) > len(counted)


@pytest.mark.parametrize("protocol", ["coco/1k5f", "coco/eccv", "fashioniq/original", "cirr/val"])
def test_a_protocol_without_sheets_opens_nothing(copies: Runs, table: Table, protocol: str) -> None:
    with pytest.raises(UsageError, match="no contact sheet"):
        evaluate_with_sheet(copies[1], "test", protocol)
    assert not (table.path / OPENINGS).exists()


def test_composed_queries_show_their_reference_and_never_retrieve_it(tmp_path: Path) -> None:
    queries = make_query_table(tmp_path / "queries")
    config = tiny(queries, tmp_path, method__kind="composed", encoder__pooling="mean", optim__batch_size=30,
                  optim__max_steps=1)  # fmt: skip
    fit_here(config)
    sheet = plain_sheet(config.folder)
    ranks, split = ranks_by_name(config.folder)["val"]["query"], QuerySplit(queries, "val")
    files, texts = queries.items["file"].to_pylist(), queries.texts["text"].to_pylist()
    assert [section.rule for section in sheet.sections] == ["random", "worst", "contested"]
    for query in (query for section in sheet.sections for query in section.queries):
        (ranking,) = query.rankings
        assert ranking.best.rank - 1 == ranks[query.position]
        assert query.file == files[split.items[split.reference[query.position]]]
        assert query.text == texts[split.text[query.position]]
        assert query.file not in [entry.file for entry in ranking.shown]
        low, high = split.target_offsets[query.position : query.position + 2]
        targets = {files[split.items[place]] for place in split.targets[low:high]}
        assert all((entry.file in targets) == entry.right for entry in ranking.shown)
