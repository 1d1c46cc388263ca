"""ECCV Caption, CxC and classes: loops, the example of docs/evaluation.md, and the code of eccv_caption itself."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.errors import RefusedError
from raytrain.evaluation.protocols import many_to_many
from raytrain.evaluation.protocols.many_to_many import evaluate_relevance
from raytrain.evaluation.protocols.protocols import PROTOCOLS, Protocol, Result, evaluate, find_protocol
from raytrain.evaluation.protocols.relevance import Positives, of_classes, of_pairs
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from tests.evaluation.oracles import mean, ordered, precisions, rank, recall

packaged = pytest.mark.skipif(
    importlib.util.find_spec("eccv_caption") is None, reason="eccv_caption (extra eval) is not installed"
)
DOCS = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8").replace("\n", " ")
EXAMPLE = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.6], [0.1, 0.5]])


def ranked(scores: Tensor, kind: str, **pairs: dict[str, list[str]]) -> Result:
    """Of the five texts a to e and the images 1 and 2."""
    ids = {"i": ["1", "2"], "t": list("abcde")}
    positives = {name: of_pairs(by_id, ids[name[0]], ids[name[2]]) for name, by_id in pairs.items()}
    within = {"i2i": lambda rows: (scores.T @ scores)[rows], "t2t": lambda rows: (scores @ scores.T)[rows]}
    owner = torch.tensor([0, 0, 1, 1, 1])
    return evaluate_relevance(scores, owner, find_protocol(f"partial/coco/{kind}"), positives, within=within)


def rounded(metrics: Any, *names: str) -> list[float]:
    return [round(metrics[name], 1) for name in names]


def test_eccv_gives_the_numbers_of_the_worked_example() -> None:
    answers = {"1": ["a", "c", "e"], "2": ["d"]}
    metrics = ranked(EXAMPLE, "eccv", i2t=answers, t2i={"a": ["1"], "d": ["1", "2"], "e": ["1"]}).metrics
    names = ("recall_at_1", "r_precision", "map_at_r")
    assert rounded(metrics, *(f"eccv/i2t_{name}" for name in names)) == [50.0, 33.3, 27.8]
    assert rounded(metrics, *(f"eccv/t2i_{name}" for name in names)) == [66.7, 66.7, 66.7]
    assert rounded(metrics, "eccv/map_at_r") == [47.2]
    assert "R@1 50.0, R-P 33.3, mAP@R 27.8" in DOCS
    assert "`eccv/map_at_r` is (27.8 + 66.7) / 2 = 47.2" in DOCS


def test_cxc_gives_the_numbers_of_the_worked_example() -> None:
    result = ranked(
        EXAMPLE, "cxc", i2t={"1": ["a"], "2": ["d"]}, t2i={"a": ["1"], "d": ["1", "2"], "e": ["1"]}, i2i={"1": ["2"]}
    )
    shown = ("cxc/i2t_recall_at_1", "cxc/i2t_recall_at_5", "cxc/t2i_recall_at_1", "cxc/i2i_recall_at_1")
    assert rounded(result.metrics, *shown) == [50.0, 100.0, 66.7, 100.0]
    assert "`i2t` R@1 50.0, R@5 100.0; `t2i` R@1 66.7." in DOCS
    assert result.gallery["i2i"] == 1
    assert any("t2t is missing: sts_test.csv" in note for note in result.notes)


def test_classes_give_the_numbers_of_the_worked_example() -> None:
    image, text = ["x", "y"], ["x", "y", "x", "y", "y"]
    positives = {"i2t": of_classes(image, text), "t2i": of_classes(text, image)}
    owner = torch.tensor([0, 1, 0, 1, 1])
    metrics = evaluate_relevance(EXAMPLE, owner, find_protocol("class/test"), positives).metrics
    shown = ("class/i2t_recall_at_1", "class/i2t_r_precision", "class/i2t_map_at_r", "class/t2i_r_precision")
    assert rounded(metrics, *shown, "class/r_precision") == [50.0, 58.3, 44.4, 60.0, 59.2]
    assert "R@1 50.0, R-P 58.3, mAP@R 44.4." in DOCS
    assert "`class/r_precision` is 59.2" in DOCS


def many(
    seed: int, images: int = 7, per_image: int = 3, values: int = 5
) -> tuple[Tensor, dict[str, dict[int, list[int]]]]:
    """Scores with ties, and positives that some queries lack, by position."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, values, (images * per_image, images), generator=generator).float()
    pairs = {}
    for direction, queries, items in (("i2t", images, images * per_image), ("t2i", images * per_image, images)):
        chosen = torch.rand(queries, items, generator=generator) < 0.15
        pairs[direction] = {at: row.nonzero()[:, 0].tolist() for at, row in enumerate(chosen) if row.any()}
    return scores, pairs


def positions(pairs: dict[int, list[int]], queries: int, items: int) -> Positives:
    named = {str(at): [str(item) for item in several] for at, several in pairs.items()}
    return of_pairs(named, list(map(str, range(queries))), list(map(str, range(items))))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block", [1, 40, 10_000])
def test_both_directions_equal_loops_in_blocks_of_any_size(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_to_many, "BLOCK_ELEMENTS", block)
    scores, pairs = many(seed)
    texts, images = scores.shape
    positives = {"i2t": positions(pairs["i2t"], images, texts), "t2i": positions(pairs["t2i"], texts, images)}
    owner = torch.arange(images).repeat_interleave(texts // images)
    result = evaluate_relevance(scores, owner, Protocol("partial/coco/eccv", relevance="eccv"), positives)
    for direction, rows in (("i2t", scores.T.tolist()), ("t2i", scores.tolist())):
        orders = {at: ordered(rows[at]) for at in pairs[direction]}
        ranks = [rank(orders[at], several) for at, several in pairs[direction].items()]
        both = [precisions(orders[at], several) for at, several in pairs[direction].items()]
        assert result.ranks[direction][list(pairs[direction])].tolist() == ranks
        assert result.metrics[f"eccv/{direction}_recall_at_1"] == pytest.approx(recall(ranks, 1))
        assert result.metrics[f"eccv/{direction}_r_precision"] == pytest.approx(
            100 * mean([value for value, _ in both])
        )
        assert result.metrics[f"eccv/{direction}_map_at_r"] == pytest.approx(100 * mean([value for _, value in both]))
        assert result.queries[direction] == len(pairs[direction])


@pytest.mark.parametrize("seed", range(3))
def test_no_item_finds_itself_among_its_own_kind(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_to_many, "BLOCK_ELEMENTS", 20)
    scores, pairs = many(seed)
    texts, images = scores.shape
    alike = (scores @ scores.T).round()
    positives = {
        name: positions(pairs[name], *sizes) for name, sizes in (("i2t", (images, texts)), ("t2i", (texts, images)))
    }
    kin = {at: [other for other in range(texts) if other != at and other % 4 == at % 4] for at in range(0, texts, 2)}
    positives["t2t"] = positions(kin, texts, texts)
    owner = torch.arange(images).repeat_interleave(texts // images)
    result = evaluate_relevance(
        scores,
        owner,
        Protocol("partial/coco/cxc", relevance="cxc"),
        positives,
        within={"t2t": lambda rows: alike[rows]},
    )
    ranks = [rank(ordered(alike[at].tolist(), [at]), several) for at, several in kin.items()]
    for k in (1, 5, 10):
        assert result.metrics[f"cxc/t2t_recall_at_{k}"] == pytest.approx(recall(ranks, k))
    assert result.gallery["t2t"] == texts - 1


def test_re_ranked_scores_are_measured_in_their_direction() -> None:
    scores, pairs = many(1)
    texts, images = scores.shape
    positives = {"i2t": positions(pairs["i2t"], images, texts), "t2i": positions(pairs["t2i"], texts, images)}
    owner = torch.arange(images).repeat_interleave(texts // images)
    protocol, applied = Protocol("partial/coco/eccv", relevance="eccv"), Temperatures("cross", 2.0, None)
    result = evaluate_relevance(scores, owner, protocol, positives, applied)
    normaliser = applied.normaliser("i2t", scores)
    assert normaliser is not None
    again = evaluate_relevance(normaliser.whole(scores), owner, protocol, positives)
    plain = evaluate_relevance(scores, owner, protocol, positives)
    assert result.transductive
    for name in result.metrics:
        if "i2t" in name or "t2i" in name:
            assert result.metrics[name] == (again if "i2t" in name else plain).metrics[name]


def test_a_collapsed_model_scores_chance() -> None:
    numbers = torch.randint(0, 10, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    classes = [str(number) for number in numbers]
    positives = {"i2t": of_classes(classes, classes), "t2i": of_classes(classes, classes)}
    result = evaluate_relevance(torch.zeros(400, 400), torch.arange(400), find_protocol("class/test"), positives)
    for name in ("class/recall_at_1", "class/r_precision"):
        assert result.metrics[name] == pytest.approx(10, abs=4)
    assert result.metrics["class/i2t_tied_percent"] == 100


def test_a_published_name_needs_its_gallery_and_its_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, pairs = many(0)
    texts, images = scores.shape
    positives = {"i2t": positions(pairs["i2t"], images, texts), "t2i": positions(pairs["t2i"], texts, images)}
    owner = torch.arange(images).repeat_interleave(texts // images)
    with pytest.raises(RefusedError, match=r"7 images instead of 5,000.*partial/coco/eccv"):
        evaluate_relevance(scores, owner, PROTOCOLS["coco/eccv"], positives)
    with pytest.raises(RefusedError, match=r"has 1,261 queries i2t, and \d of them"):
        evaluate_relevance(scores, owner, Protocol("coco/eccv", relevance="eccv"), positives)
    part = evaluate_relevance(scores, owner, find_protocol("partial/coco/eccv"), positives)
    assert any("7 images instead of 5,000, 21 captions instead of 25,000" in note for note in part.notes)
    nothing = {name: positions({}, 1, 1) for name in positives}
    with pytest.raises(RefusedError, match="finds no query"):
        evaluate_relevance(scores, owner, find_protocol("partial/coco/cxc"), nothing)


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """eccv_caption's own evaluator on 100 images of COCO's test, so that a ranking takes it a moment."""
    from eccv_caption import Metrics

    theirs, folder = Metrics(), tmp_path_factory.mktemp("eccv")
    captions = theirs.coco_ids
    image_of = {caption: several[0] for caption, several in theirs.coco_gts["t2i"].items()}
    of_captions = (image_of[caption] for caption in theirs.eccv_gts["t2i"])
    queried = set(list(dict.fromkeys([*theirs.eccv_gts["i2t"], *of_captions]))[:100])
    kept = [int(caption) for caption in captions if image_of[int(caption)] in queried]
    images = list(dict.fromkeys(image_of[caption] for caption in kept))
    for name in ("coco", "cxc", "eccv"):
        paths = []
        for direction, queries, items in (("i2t", images, kept), ("t2i", kept, images)):
            whole = getattr(theirs, f"{name}_gts")[direction]
            # positives outside the gallery stay: they count in R, and no ranking finds them
            inside = [query for query in queries if query in whole and not set(items).isdisjoint(whole[query])]
            cut = {query: whole[query] for query in inside}
            paths.append(folder / f"{name}_{direction}.json")
            paths[-1].write_text(json.dumps(cut))
        getattr(theirs, f"set_{name}_gts")(*map(str, paths))
    theirs.coco_ids = np.array(kept)
    return theirs, images, kept, image_of


@packaged
@pytest.mark.filterwarnings("ignore:failed to import")
def test_the_code_of_eccv_caption_agrees_on_twenty_rankings(reduced: Any, capsys: pytest.CaptureFixture[str]) -> None:
    theirs, images, captions, image_of = reduced
    owner = torch.tensor([images.index(image_of[caption]) for caption in captions])
    ids = {"i": list(map(str, images)), "t": list(map(str, captions))}
    assert len(images) == 100 and len(captions) == 500
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randn(len(captions), len(images), generator=generator)
        scores += 2.0 * (owner[:, None] == torch.arange(len(images)))
        best = {"i2t": np.argsort(-scores.T.numpy(), 1), "t2i": np.argsort(-scores.numpy(), 1)}
        wanted = theirs.compute_all_metrics(
            {image: [captions[at] for at in row] for image, row in zip(images, best["i2t"].tolist(), strict=True)},
            {caption: [images[at] for at in row] for caption, row in zip(captions, best["t2i"].tolist(), strict=True)},
            ("eccv_map_at_r", "eccv_rprecision", "eccv_r1", "cxc_recalls", "coco_5k_recalls", "coco_1k_recalls"),
            Ks=(1, 5, 10),
        )
        metrics: dict[str, float] = {}
        for kind in ("eccv", "cxc"):
            positives = {}
            for name in ("i2t", "t2i"):
                pairs = {str(at): map(str, caption) for at, caption in getattr(theirs, f"{kind}_gts")[name].items()}
                positives[name] = of_pairs(pairs, ids[name[0]], ids[name[2]], count_outside=True)
            assert positives["i2t"].outside > 100
            metrics |= evaluate_relevance(scores, owner, find_protocol(f"partial/coco/{kind}"), positives).metrics
        whole = evaluate(scores, owner, "split/test").metrics
        folded = evaluate(scores, owner, Protocol("coco/1k5f", folds=5)).metrics
        for direction in ("i2t", "t2i"):
            for ours, name in (("recall_at_1", "r1"), ("r_precision", "rprecision"), ("map_at_r", "map_at_r")):
                assert metrics[f"eccv/{direction}_{ours}"] == pytest.approx(100 * wanted[f"eccv_{name}"][direction])
            for k in (1, 5, 10):
                assert metrics[f"cxc/{direction}_recall_at_{k}"] == pytest.approx(100 * wanted[f"cxc_r{k}"][direction])
                mine = f"{direction}/recall_at_{k}"
                assert whole[mine] == pytest.approx(100 * wanted[f"coco_5k_r{k}"][direction])
                assert folded[mine] == pytest.approx(100 * wanted[f"coco_1k_r{k}"][direction])
    capsys.readouterr()  # their progress bars
