"""Pairs in blocks: their order, their length, what is computed again, and what a block holds at most."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from raytrain.config import METHOD_CONFIGS, BiGRUText, EncoderConfig, SCANConfig
from raytrain.distributed import gather
from raytrain.methods import METHODS
from raytrain.methods.base import Inputs
from raytrain.methods.cross_attention import base
from raytrain.methods.cross_attention.base import CrossAttention
from tests.encoders.local_features import locals_of
from tests.gpu.steps import imitated_ranks
from tests.methods.cross_attention.test_scan import awkward, batch

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
    monkeypatch.setattr(base, "NUMBERS_PER_MIB", numbers)
    monkeypatch.setattr(base, "CAPTIONS_AT_ONCE", captions)
    method = Blocks()
    query, gallery = locals_of(LENGTHS), locals_of([2, 3, 1], seed=1)
    scores, sums = method.in_blocks(method.compare, query, gallery)
    torch.testing.assert_close(scores, query.sum(1) @ gallery.sum(1).T)
    torch.testing.assert_close(sums, query.sum((1, 2)))


def test_a_block_has_queries_of_like_length_and_is_cut_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "CAPTIONS_AT_ONCE", 2)
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
    monkeypatch.setattr(base, "NUMBERS_PER_MIB", numbers)
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


FORMS: dict[str, dict[str, Any]] = {
    "caan": {"method": "caan", "hidden_dim": 6},
    "imram": {"method": "imram", "direction": "both"},
    "imram, normalised": {"method": "imram", "direction": "both", "steps": 2, "refined_norm": True},
    "naaf": {"method": "naaf"},
}
MODES = pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])


def built(form: str, dim: int = 5, words: bool = False, **changes: Any) -> CrossAttention:
    """Methods whose own tests have the oracle of a pair; SCAN's and SGRAF's have these properties too."""
    torch.manual_seed(0)
    settings = {**FORMS[form], **changes}
    kind = settings.pop("method")
    encoder = EncoderConfig(dim=dim, text=BiGRUText(word_dim=6)) if words else EncoderConfig(dim=dim)
    method = METHODS[kind](encoder, METHOD_CONFIGS[kind](**settings), INPUTS)
    assert isinstance(method, CrossAttention)
    for name, buffer in method.named_buffers():
        if name.startswith("threshold.") and buffer.ndim == 0:
            buffer.fill_(0.1)
    return method


@MODES
@pytest.mark.parametrize("form", FORMS)
def test_padding_and_gaps_change_no_score(form: str, training: bool) -> None:
    texts, images = locals_of([3, 1, 4]), locals_of([2, 3, 1], seed=1)
    whole = built(form).double().train(training).similarity(texts, images)
    wide = [pad(part, (0, 0, 0, 3)) for part in (texts, images)]
    gaps = [torch.stack([part, torch.zeros_like(part)], 2).flatten(1, 2) for part in (texts, images)]
    for padded in (wide, gaps):
        torch.testing.assert_close(built(form).double().train(training).similarity(*padded), whole, rtol=0, atol=1e-9)


@MODES
@pytest.mark.parametrize("case", awkward())
@pytest.mark.parametrize("form", FORMS)
def test_scores_and_gradients_are_finite_in_every_corner(form: str, case: str, training: bool) -> None:
    texts, images = (part.float().clone().requires_grad_() for part in awkward()[case])
    if training:  # pairs
        count = min(len(texts), len(images))
        texts, images = texts[:count].detach().requires_grad_(), images[:count].detach().requires_grad_()
    method = built(form).train(training)
    scores = method.similarity(texts, images)
    scores.sum().backward()
    for value in (scores, texts.grad, images.grad, *(p.grad for p in method.parameters() if p.grad is not None)):
        assert value is not None and torch.isfinite(value).all()


@MODES
@pytest.mark.parametrize("form", FORMS)
def test_blocks_give_the_scores_and_gradients_of_all_pairs_at_once(
    form: str, training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    # numbers of a MiB: all at once, single queries, a few; then two queries at a time, kept for the backward pass
    for numbers, captions in ((2**18, 32), (1, 32), (2500, 32), (2**18, 2)):
        monkeypatch.setattr(base, "CAPTIONS_AT_ONCE", captions)
        monkeypatch.setattr(base, "NUMBERS_PER_MIB", numbers)
        method = built(form, memory_mib=1).double().train(training)
        texts, images = locals_of([3, 1, 4]).requires_grad_(), locals_of([2, 3, 1], seed=1).requires_grad_()
        scores = method.similarity(texts, images)
        scores.square().sum().backward()
        assert texts.grad is not None and images.grad is not None
        gradients = [p.grad for p in method.parameters() if p.grad is not None]
        results.append([scores.detach(), texts.grad, images.grad, *gradients])
    for other in results[1:]:
        for here, there in zip(results[0], other, strict=True):
            torch.testing.assert_close(there, here, rtol=0, atol=1e-9)


@pytest.mark.parametrize("words", [False, True], ids=["tokens", "words"])
@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_trains_and_scores_stay_float32_under_autocast(form: str, words: bool) -> None:
    method, given = built(form, dim=8, words=words), batch(words)
    whole = method(given)["loss"]
    whole.backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name
    method.eval()
    query, gallery = method.encode_query(given), method.encode_gallery(given)
    scores = method.similarity(query, gallery)
    with torch.autocast("cpu", torch.bfloat16):
        assert method.similarity(query.bfloat16(), gallery).dtype == torch.float32
        torch.testing.assert_close(method.similarity(query, gallery), scores)


def test_in_training_a_rank_compares_its_own_captions_alone() -> None:
    class Summed(Blocks):
        def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
            return self.in_blocks(self.compare, query, gallery)[0]

    method, query, images = Summed(), locals_of(LENGTHS).requires_grad_(), locals_of([2, 3, 1], seed=1)
    with imitated_ranks():
        everywhere, gallery = gather(query), gather(images)
        scores = method.training_scores(everywhere, gallery)
    assert sum(rows for rows, _ in method.sizes) == len(LENGTHS) and scores.shape == (2 * len(LENGTHS), 6)
    torch.testing.assert_close(scores, everywhere.sum(1) @ gallery.sum(1).T)
    assert method.captions is None
    method.sizes.clear()
    with imitated_ranks():
        method.similarity(everywhere, gallery)  # outside of a training step every rank compares what it was given
    assert sum(rows for rows, _ in method.sizes) == 2 * len(LENGTHS)
