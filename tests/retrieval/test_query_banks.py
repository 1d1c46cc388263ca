"""Inductive re-ranking of a search."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.retrieval import Retriever
from raytrain.retrieval.query_banks import RunBanks, normaliser, without_own
from raytrain.run_evaluation.rescore import bank_scores
from raytrain.scoring.embed import score


def test_own_scores_count_as_the_mean_of_the_others() -> None:
    scores = torch.tensor([[1.0, 9.0], [3.0, 2.0], [9.0, 4.0]])
    own = torch.tensor([[False, True], [False, False], [True, False]])
    assert without_own(scores, own).tolist() == [[1.0, 3.0], [3.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize("direction", ["t2i", "i2t"])
def test_a_gallery_without_the_bank_is_ranked_as_an_evaluation_ranks_it(
    direction: str, retriever: Retriever, pictures: Table
) -> None:
    banks = retriever.banks
    assert isinstance(banks, RunBanks)
    temperatures = Temperatures(i2t=20.0, t2i=20.0, i2t_bank=5, t2i_bank=6, bank_seed=3)
    images, texts = retriever.gallery(split="val"), retriever.gallery(of="texts", split="val")
    gallery, dim = (images, 0) if direction == "t2i" else (texts, 1)
    normalise = normaliser(banks, retriever.model, temperatures, gallery, retriever.memory_mib)
    matrix = score(retriever.model, texts.embeddings, images.embeddings)
    bank = bank_scores(retriever.model, banks.feed, pictures.split("train"), pictures.split("val"), (5, 6), 3)
    evaluated = temperatures.normaliser(direction, matrix, getattr(bank, direction))
    assert normalise is not None and evaluated is not None
    searched = normalise(matrix if dim == 0 else matrix.T)
    torch.testing.assert_close(searched if dim == 0 else searched.T, evaluated(matrix), rtol=1e-6, atol=1e-6)


def test_a_run_without_searched_settings_says_so_in_one_line(retriever: Retriever, run: Path) -> None:
    with pytest.raises(UsageError, match=f"{run.name} has no settings of inductive re-ranking.*--bank"):
        retriever.search("a dog", rerank=True)
