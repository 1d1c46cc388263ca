"""Banks and poolings of a trained run: from its own checkpoint, from training queries alone, through to its rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.cli.main import main
from raytrain.config import RunConfig, override
from raytrain.data.load.batches import text_batches
from raytrain.data.table import Table
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.reranking.query_bank import draw
from raytrain.review.leaderboard import read_board
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.run_evaluation.rerank import read_similarity, rerank_run
from raytrain.run_evaluation.rescore import Rescore, bank_scores
from raytrain.tracking.journal import Journal
from raytrain.training.run import load_run, train
from tests.runs import small_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    config = override(small_run(tmp_path_factory.mktemp("rescored"), num_epochs=1), {"name": "run"})
    train(config)
    return config


@pytest.fixture
def folder(made: RunConfig) -> Path:
    for path in made.folder.glob("rerank*"):
        path.unlink()
    for path in made.folder.glob("evaluation/*.json"):
        if not path.name.startswith("similarity"):
            path.unlink()
    return made.folder


def test_a_bank_holds_training_queries_alone_and_their_scores(folder: Path) -> None:
    model, feed, saved = load_run(folder)
    table = Table(saved.config.data.table)
    learnt, val, test = (table.split(name, allow_test=True) for name in ("train", "val", "test"))
    bank = bank_scores(model, feed, learnt, val, (5, 7), seed=3)
    assert bank.i2t is not None
    assert bank.t2i is not None
    assert bank.i2t.shape == (len(val.texts), 5)
    assert bank.t2i.shape == (7, len(val.items))
    drawn = learnt.texts[draw(len(learnt.texts), 7, 3).numpy()]
    assert not np.isin(drawn, val.texts).any()
    assert not np.isin(drawn, test.texts).any()
    # the same captions through the model by themselves, against the kept scores' own images
    with torch.no_grad():
        (batch,) = text_batches(drawn, feed.texts)
        query = model.encode_query(batch)
        (images,) = ([model.encode_gallery(feed.images.read(val.items, None, 0.0))],)
        torch.testing.assert_close(bank.t2i, model.similarity(query, images[0]), rtol=0, atol=1e-6)
    smaller = bank_scores(model, feed, learnt, val, (0, 4), seed=3)
    assert smaller.i2t is None
    torch.testing.assert_close(smaller.t2i, bank.t2i[:4], rtol=0, atol=1e-6)
    with pytest.raises(RefusedError, match="overlap"):
        bank_scores(model, feed, val, val, (5, 5), seed=3)


def test_the_run_s_own_pooling_gives_the_kept_scores_and_another_one_does_not(folder: Path) -> None:
    facts, kept, _ = read_similarity(folder)
    rescore = Rescore(folder)
    scores, bank = rescore(None, 0, 0, facts["checkpoint"])
    assert bank is None
    torch.testing.assert_close(scores, kept, rtol=0, atol=1e-6)
    other, _ = rescore("mean", 0, 0, facts["checkpoint"])
    assert (other <= kept + 1e-6).all()  # the mean of views against their maximum
    assert not torch.allclose(other, kept)
    with pytest.raises(UsageError, match="log_mean_exp"):
        rescore("median", 0, 0, facts["checkpoint"])
    with pytest.raises(UsageError, match="best checkpoint"):
        rescore(None, 0, 0, "checkpoint_99999999")


@pytest.mark.usefixtures("best_of_all")
def test_both_searches_stand_beside_each_other_down_to_the_leaderboard(folder: Path) -> None:
    run = str(folder)
    assert main(["rerank", run, "--trials", "0", "--modes", "cross,product"]) == 0
    assert main(["rerank", run, "--trials", "0", "--bank", "6,12"]) == 0
    documents = {name: json.loads((folder / name).read_text()) for name in ("rerank.json", "rerank.inductive.json")}
    for name, document in documents.items():
        assert document["after"] > document["before"], "the made-up run leaves something to gain"
        assert (folder / name.replace(".json", ".svg")).read_text().startswith("<svg xmlns")
    assert documents["rerank.json"]["transductive"]
    assert not documents["rerank.inductive.json"]["transductive"]
    assert {one[3] for one in documents["rerank.inductive.json"]["tried"]["t2i"] if one[0] != "off"} == {6, 12}
    result = evaluate_run(run, "val")
    assert result["rerank"]["rsum"] == pytest.approx(documents["rerank.json"]["after"])
    assert result["inductive"]["rsum"] == pytest.approx(documents["rerank.inductive.json"]["after"])
    written = {Path(file).name: json.loads(Path(file).read_text()) for file in result["files"]}
    assert {name: one["transductive"] for name, one in written.items()} == {
        "val.json": False, "val.rerank.json": True, "val.inductive.json": False,
    }  # fmt: skip
    assert written["val.inductive.json"]["rerank"]["t2i_bank"] in (6, 12)
    assert evaluate_run(run, "train")["inductive"] is None  # the bank would hold what is ranked
    evaluate_run(run, "test")
    shown = {row.transductive: row for row in read_board(folder.parent.parent).rows if row.rerank}
    assert len(shown) == 2
    assert "inductive" in shown[False].rerank
    assert shown[False].test.rsum is not None
    metrics = {name for event in Journal(folder).read() for name in event.get("metrics", {})}
    assert metrics >= {"rerank/val/rsum", "inductive/val/rsum", "inductive/test/rsum"}


@pytest.mark.usefixtures("best_of_all")
def test_a_pooling_is_searched_kept_and_applied(folder: Path) -> None:
    result = rerank_run(folder, trials=0, poolings=("mean", "log_mean_exp"), rescore=Rescore(folder))
    document = json.loads((folder / "rerank.json").read_text())
    assert set(document["poolings"]) == {"as trained", "mean", "log_mean_exp"}
    chosen = document["params"].get("pooling") or "as trained"
    assert result["after"] == document["poolings"][chosen] >= document["poolings"]["as trained"]
    # whatever won: a pooling that is written down is the one that is applied
    best = max(("mean", "log_mean_exp"), key=lambda name: document["poolings"][name])
    document["params"]["pooling"] = best
    (folder / "rerank.json").write_text(json.dumps(document))
    scores, _ = Rescore(folder)(best, 0, 0, document["checkpoint"])
    assert evaluate_run(folder, "val")["rerank"] is not None
    ranks = np.load(folder / "evaluation" / "val.rerank.ranks.npz")["t2i"]
    from raytrain.evaluation.protocols.protocols import evaluate
    from raytrain.evaluation.reranking.fast_reranking import Temperatures

    _, _, owner = read_similarity(folder)
    expected = evaluate(scores, owner, "split/val", Temperatures.from_dict(document["params"]))
    assert ranks.tolist() == expected.ranks["t2i"].tolist()


def test_arguments_without_a_meaning_say_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--bank", "many"], "whole numbers"),
        (["--bank", "0"], "numbers of training queries"),
        (["--modes", "sinkhorn"], "cross, product, additive, mtfn"),
        (["--modes", "mtfn", "--bank", "5"], "which a bank lacks: leave it out"),
        (["--trials", "-1"], "give 0 or more"),
    ):
        assert main(["rerank", str(folder), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not list(folder.glob("rerank*"))
