"""Pairs in blocks: their order, their length, what is computed again, and what a block holds at most."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from raytrain.config import BiGRUText, EncoderConfig, SCANConfig
from raytrain.methods import cross_attention
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention import CrossAttention
from tests.encoders.local_features import locals_of

LENGTHS = [3, 1, 4, 2, 4]
INPUTS = Inputs(region_features=6, token_features=5, words=20)


class Blocks(CrossAttention):
    """A method that keeps the size of each block it compares."""

    def __init__(self, encoder: EncoderConfig | None = None, memory_mib: int = 1) -> None:
        super().__init__(encoder or EncoderConfig(dim=5), SCANConfig(memory_mib=memory_mib), INPUTS)
        self.sizes: list[tuple[int, int]] = []

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        return 2

    def compare(self, query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over pairs of members, and the sum of each query's members."""
        self.sizes.append((query.shape[0], query.shape[1]))
        return query.sum(1) @ gallery.sum(1).T, query.sum((1, 2))


@pytest.mark.parametrize("captions", [1, 2, 32])
@pytest.mark.parametrize("numbers", [1, 12, 2**18])
def test_blocks_give_what_all_pairs_give_in_the_order_of_the_queries(
    numbers: int, captions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_attention, "NUMBERS_PER_MIB", numbers)
    monkeypatch.setattr(cross_attention, "CAPTIONS_AT_ONCE", captions)
    method = Blocks()
    query, gallery = locals_of(LENGTHS), locals_of([2, 3, 1], seed=1)
    scores, sums = method.in_blocks(method.compare, query, gallery)
    torch.testing.assert_close(scores, query.sum(1) @ gallery.sum(1).T)
    torch.testing.assert_close(sums, query.sum((1, 2)))


def test_a_block_has_queries_of_like_length_and_is_cut_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_attention, "CAPTIONS_AT_ONCE", 2)
    method = Blocks()
    method.in_blocks(method.compare, locals_of(LENGTHS, longest=9), locals_of([2, 3, 1], seed=1))
    assert method.sizes == [(2, 2), (2, 4), (1, 4)]
    gaps = torch.stack([torch.zeros(1, 2, 5), torch.ones(1, 2, 5)], 2).flatten(1, 2)  # a word at places 1 and 3
    method.in_blocks(method.compare, gaps, torch.ones(1, 1, 5))
    assert method.sizes[-1] == (1, 4)
    method.in_blocks(method.compare, locals_of([1], longest=3), torch.ones(1, 1, 5).double())
    assert method.sizes[-1] == (1, 2)  # a global vector alone would have no row beside it


@pytest.mark.parametrize(("numbers", "rows"), [(60, 5), (24, 4), (11, 1), (1, 1)])
def test_a_block_fits_the_budget_and_is_computed_again_only_where_not_all_pairs_fit(
    numbers: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three images at two numbers per pair: a query takes six numbers."""
    monkeypatch.setattr(cross_attention, "NUMBERS_PER_MIB", numbers)
    method = Blocks()
    query, gallery = locals_of(LENGTHS).requires_grad_(), locals_of([2, 3, 1], seed=1)
    scores, _ = method.in_blocks(method.compare, query, gallery)
    forward = len(method.sizes)
    assert max(size for size, _ in method.sizes) == rows
    scores.sum().backward()
    assert len(method.sizes) == (forward if rows == len(LENGTHS) else 2 * forward)
    assert query.grad is not None
    words = query.detach().ne(0).any(-1)
    torch.testing.assert_close(query.grad[words], gallery.sum((0, 1)).expand(len(query.grad[words]), -1))
    method.sizes.clear()
    with torch.no_grad():  # nothing is kept for a backward pass
        method.in_blocks(method.compare, query, gallery)
    assert len(method.sizes) == forward


@pytest.mark.parametrize("words", [False, True], ids=["tokens", "words"])
def test_embeddings_are_unit_vectors_of_words_and_regions_and_zeros_elsewhere(words: bool) -> None:
    torch.manual_seed(0)
    method = Blocks(EncoderConfig(dim=5, text=BiGRUText(word_dim=6)) if words else None)
    assert method.local_features
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    text = torch.randint(20, (2, 3), generator=generator) if words else torch.randn(2, 3, 5, generator=generator)
    regions = torch.randn(2, 3, 6, generator=generator)
    query = method.encode_query({"text": text, "text_mask": mask})
    gallery = method.encode_gallery({"regions": regions, "region_mask": mask})
    for vectors in (query, gallery):
        torch.testing.assert_close(vectors.norm(dim=-1), mask.float())
    torch.testing.assert_close(gallery[0], normalize(method.image.linear(regions[0]), dim=-1))
