"""Candidates against the scores of all entries: what is called proved is exact, whatever the sets are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

pytest.importorskip("faiss", reason="candidates need faiss-cpu")
from raytrain import similarity
from raytrain.retrieval.index.candidate_search import Searched
from raytrain.retrieval.index.manifest import CandidateKind
from raytrain.retrieval.scores import Kind, scores_of
from raytrain.retrieval.top_k import top_k
from tests.retrieval.index.made import Compared, candidates, sets, smooth_chamfer, views

Compare = Callable[[Tensor, Tensor], Tensor]
HOW = ("random", "clustered", "tied", "twins", "one")


def check(searched: Searched, queries: Tensor, k: int, excluded: dict[int, int], last_count: int = 4096) -> int:
    """Compare each answer with the scores of all entries; the number of those that are proved."""
    scores = scores_of(searched.model, queries, searched.embeddings, searched.of, 16.0)
    for query, entry in excluded.items():
        scores[query, entry] = -torch.inf
    answers, proved = searched.search(queries, k, excluded, last_count), 0
    for row, best, answer in zip(scores, top_k(scores, k + 1), answers, strict=True):
        places = best[:k]
        torch.testing.assert_close(answer.scores, row[answer.places], atol=1e-6, rtol=1e-6)
        assert answer.scores.tolist() == sorted(answer.scores.tolist(), reverse=True)
        assert len(answer.places.unique()) == len(answer.places)
        if answer.certainty.kind == "proved":
            proved += 1
            torch.testing.assert_close(answer.scores, row[places], atol=1e-6, rtol=1e-6)
            if bool((row[best][:-1] - row[best][1:] > 1e-5).all()):  # no ties: the same entries too
                assert answer.places.tolist() == places.tolist()
    return proved


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("elements", [1, 3, 8])
def test_what_is_proved_is_exact_for_sets(
    how: str, elements: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytrain.retrieval.index.candidate_search.FIRST_COUNT", 8)
    embeddings = sets(160, elements, 12, elements, how)
    queries = normalize(embeddings[::32] + 0.2 * sets(5, elements, 12, 9), dim=-1)
    compares: list[Compare] = [similarity.max_similarity, similarity.chamfer]
    compares += [smooth_chamfer(alpha) for alpha in (1.0, 16.0, 100.0)]
    kinds: tuple[CandidateKind, ...] = ("flat", "fp16", "sq8")
    for number, compare in enumerate(compares):
        index = candidates(tmp_path, embeddings, kinds[number % 3])
        searched = Searched(Compared(compare), embeddings, "images", index, 16.0)
        check(searched, queries, 1, {}, 64)
        assert check(searched, queries, 7, {0: 0, 3: 60}) == len(queries)  # all vectors may be looked at


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("of", ["images", "texts"])
@pytest.mark.parametrize("score", ["max", "mean", "log_mean_exp"])
def test_what_is_proved_is_exact_for_views(how: str, of: Kind, score: str, tmp_path: Path) -> None:
    views_of_images, texts = sets(300, 4, 12, 0, how), sets(300, 1, 12, 1, how)[:, 0]
    embeddings, queries = (views_of_images, texts[:9]) if of == "images" else (texts, views_of_images[:9])
    index = candidates(tmp_path, embeddings, "sq8")
    searched = Searched(Compared(views(score)), embeddings, of, index, 16.0)
    check(searched, queries, 5, {})


def test_the_count_doubles_until_the_answer_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytrain.retrieval.index.candidate_search.FIRST_COUNT", 4)
    embeddings = sets(500, 2, 16, 0)
    index = candidates(tmp_path, embeddings, "flat")
    counts = list[int]()
    nearest = index.nearest
    monkeypatch.setattr(index, "nearest", lambda asking, count: (counts.append(count), nearest(asking, count))[1])
    searched = Searched(Compared(smooth_chamfer(8.0)), embeddings, "images", index, 16.0)
    answers = searched.search(embeddings[:3], 2, {}, 4096)
    assert {answer.certainty.kind for answer in answers} == {"proved"} and counts[:2] == [4, 8]
    few = searched.search(embeddings[:3], 2, {}, 4)
    assert {answer.certainty.kind for answer in few} == {"approximate"}  # four vectors bound nothing yet


def test_a_graph_proves_nothing_and_its_answers_are_scored_by_the_method(tmp_path: Path) -> None:
    embeddings = sets(300, 3, 16, 0)
    index = candidates(tmp_path, embeddings, "hnsw")
    searched = Searched(Compared(smooth_chamfer(16.0)), embeddings, "images", index, 16.0)
    assert check(searched, embeddings[:4], 5, {0: 0}) == 0
    answers = searched.search(embeddings[:4], 5, {0: 0})
    assert [int(answer.places[0]) for answer in answers][1:] == [1, 2, 3] and 0 not in answers[0].places.tolist()


def test_more_results_than_entries_are_all_of_them(tmp_path: Path) -> None:
    embeddings = sets(3, 2, 8, 0)
    searched = Searched(
        Compared(smooth_chamfer(16.0)), embeddings, "images", candidates(tmp_path, embeddings, "sq8"), 16.0
    )
    answer = searched.search(embeddings[:1], 10, {0: 0})[0]
    assert sorted(answer.places.tolist()) == [1, 2] and answer.certainty.kind == "proved"
