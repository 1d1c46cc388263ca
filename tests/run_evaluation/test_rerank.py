"""Stage two on a run's folder: what it reads, what it writes, and that it cannot see test scores."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.review.charts.plots import temperature_map
from raytrain.review.leaderboard import read_board
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.run_evaluation.rerank import read_similarity, rerank_run
from raytrain.tracking.journal import Journal
from tests.evaluation.scores import hubs
from tests.review.made_runs import keep_scores, make_run, scores

pytest.importorskip("optuna", reason="temperatures are searched with Optuna")


def test_temperatures_are_found_written_and_reproduced(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder, test=None)
    keep_scores(folder, *hubs())
    result = rerank_run(folder, trials=10, seed=0)
    assert set(result) == {"params", "before", "after", "settings_tried", "seconds", "held_out", "lowered"}
    assert result["after"] > result["before"]
    document = json.loads((folder / "rerank.json").read_text())
    again = evaluate(*hubs(), "split/val", Temperatures.from_dict(document["params"]))
    assert again.metrics["rsum"] == pytest.approx(result["after"])
    event = Journal(folder).last("rerank")
    assert event is not None
    assert event["metrics"]["rerank/val/rsum"] == pytest.approx(result["after"])
    assert "rerank/val/i2t/recall_at_1" in event["metrics"]
    assert set(result["held_out"]) == {"i2t", "t2i", "rsum"}
    assert result["held_out"]["rsum"]["gain"] > 0
    assert event["held_out"] == document["held_out"] == result["held_out"]
    # the end of the run is still its end: the row stays, and has a re-ranked one beside it
    assert [row.transductive for row in read_board(tmp_path).rows] == [True, False]


def test_a_search_that_gains_nothing_leaves_no_re_ranked_row_behind(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder, test=None, temperatures=Temperatures("cross", 3.0, 3.0))
    owner = torch.arange(8)
    keep_scores(folder, torch.eye(8), owner)
    result = rerank_run(folder, trials=4)
    assert result["params"]["mode"] == "off"
    assert result["before"] == result["after"] == 600
    assert [row.transductive for row in read_board(tmp_path).rows] == [False]


def test_an_image_and_its_captions_are_held_out_together_and_the_gain_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder, test=None)
    keep_scores(folder, *hubs(40))
    held_out = rerank_run(folder, trials=0, modes=("cross",))["held_out"]
    assert {part["folds"] for part in held_out.values()} == {10}
    for name in ("before", "after", "gain"):
        assert held_out["rsum"][name] == pytest.approx(held_out["i2t"][name] + held_out["t2i"][name], abs=1e-3)
    assert held_out["t2i"]["gain"] > 5 * held_out["t2i"]["standard_error"] > 0


def test_scores_of_the_test_split_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder)
    keep_scores(folder, *scores(0), split="test")
    with pytest.raises(RefusedError, match="validation alone"):
        rerank_run(folder, trials=2)
    assert not (folder / "rerank.json").exists()


def test_the_files_of_a_search_state_their_run_and_count_until_they_are_edited(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder)
    rerank_run(folder, trials=0)
    written = {name: json.loads((folder / "evaluation" / name).read_text()) for name in ("val.json", "val.rerank.json")}
    assert {(document["uid"], document["test_openings"]) for document in written.values()} == {("a", 1)}
    assert read_board(tmp_path).left_out == []
    for name, document in written.items():
        (folder / "evaluation" / name).write_text(json.dumps(document | {"notes": ["mine"]}))
    reasons = {left.file: left.why for left in read_board(tmp_path).left_out}
    assert set(reasons) == set(written) and all("changed since it was written" in why for why in reasons.values())


def test_similarities_of_other_data_or_under_another_splits_protocol_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder)
    facts = folder / "evaluation" / "similarity_val.json"
    kept = json.loads(facts.read_text())
    facts.write_text(json.dumps(kept | {"fingerprint": "b" * 64}))
    with pytest.raises(RefusedError, match="of other data than the run's"):
        rerank_run(folder, trials=0)
    facts.write_text(json.dumps(kept | {"protocol": "split/test"}))
    with pytest.raises(DataError, match="protocol split/test for scores of split 'val'"):
        rerank_run(folder, trials=0)
    assert not (folder / "rerank.json").exists()


@pytest.mark.parametrize("harm", ["flip", "cut", "header", "json", "deep", "owners", "outside", "huge"])
def test_damaged_scores_are_named_and_nothing_is_written(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder)
    path = folder / "evaluation" / "similarity_val.npy"
    if harm == "flip":
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "header":
        path.write_bytes(path.read_bytes()[:12] + b"(" * 20 + path.read_bytes()[32:])
    elif harm in ("json", "deep"):
        path.with_suffix(".json").write_text("{" if harm == "json" else "[" * 100_000)
    else:
        facts = json.loads(path.with_suffix(".json").read_text())
        owners = {"owners": [0, 1], "outside": [-1, *facts["item_of_text"][1:]], "huge": [10**30]}[harm]
        path.with_suffix(".json").write_text(json.dumps(facts | {"item_of_text": owners}))
    with pytest.raises(DataError, match=r"similarity_val\.(npy|json)"):
        rerank_run(folder, trials=2)
    assert not (folder / "rerank.json").exists()


def test_a_run_without_scores_says_how_to_keep_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the folder of a run"):
        rerank_run(tmp_path, trials=2)
    Journal(tmp_path).write("start", uid="a")
    with pytest.raises(UsageError, match="keep_similarity=true"):
        rerank_run(tmp_path, trials=2)


def test_the_kept_scores_are_mapped_and_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder, test=None)
    path = folder / "evaluation" / "similarity_val.npy"
    keep_scores(folder, torch.rand(4000, 2000), torch.arange(4000) // 2)  # 32 MB
    tracemalloc.start()
    _, result, owner = read_similarity(folder)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4_000_000  # the owners as JSON and a tensor, and no copy of the scores
    assert result.shape == (4000, 2000)
    assert len(owner) == 4000
    assert torch.equal(result, torch.from_numpy(np.load(path)))


@pytest.mark.usefixtures("best_of_all")
def test_the_figure_shows_every_pair_of_scales_and_names_the_best(tmp_path: Path) -> None:
    folder = tmp_path / "e" / "a"
    make_run(folder, test=None)
    result = rerank_run(folder, trials=0)
    root = ElementTree.fromstring((folder / "rerank.svg").read_text())
    titles = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    pairs = [title for title in titles if title.startswith("i2t ")]
    best = max(float(title.rpartition(" ")[2]) for title in pairs)
    assert best == pytest.approx(result["after"], abs=0.01)
    assert f"i2t {result['params']['i2t']:g}, t2i {result['params']['t2i']:g}: {best:.2f}" in pairs
    scales = {title.partition(",")[0] for title in pairs}
    assert len(pairs) == len(scales) * len({title.partition(",")[2].partition(":")[0] for title in pairs}) >= 64
    assert temperature_map(folder) in to_html(read_board(tmp_path))
    assert temperature_map(tmp_path) == ""
