"""Half-query sum and product: the ridge map against numpy, both scores by hand, and sums over batches in any parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raytrain.config import HalfQueriesConfig
from raytrain.data.table import QuerySplit
from raytrain.errors import UsageError
from raytrain.methods.base import Inputs, StepContext
from raytrain.methods.half_queries import HalfQueries
from raytrain.training.run import load_run
from tests.methods.baselines import ENCODER, check_alone
from tests.methods.test_composed import INPUTS, batch
from tests.runs import fit_here, tiny
from tests.tables import make_query_table


def build(**changes: Any) -> HalfQueries:
    return HalfQueries(ENCODER, HalfQueriesConfig(**changes), INPUTS)


def fitted(**changes: Any) -> HalfQueries:
    """On one batch of six queries."""
    method = build(**changes)
    method(batch())
    return method.eval()


def mean(rows: Tensor, mask: Tensor) -> np.ndarray:
    picked = [row[real].mean(0) for row, real in zip(rows.double().numpy(), mask.numpy(), strict=True)]
    return np.array(picked)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def halves_by_hand(ridge: float, centered: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reference, text and image of the batch as the method should embed them, by least squares over augmented rows."""
    given = batch()
    text = mean(given["text"], given["text_mask"])
    target = mean(given["regions"], given["region_mask"])
    reference = mean(given["reference"], given["reference_mask"])
    x, y = text - text.mean(0), target - target.mean(0)
    strength = ridge * (x**2).sum() / x.shape[1]
    rows = np.concatenate([x, np.sqrt(strength) * np.eye(x.shape[1])])  # ridge regression as plain least squares
    weights = np.linalg.lstsq(rows, np.concatenate([y, np.zeros((x.shape[1], y.shape[1]))]), rcond=None)[0]
    mapped, shift = x @ weights, target.mean(0)
    if not centered:
        return unit(reference), unit(mapped + shift), unit(target)
    return unit(reference - shift), unit(mapped), unit(target - shift)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("ridge", [0.01, 3.0])
def test_the_halves_are_the_reference_and_the_ridge_image_of_the_text(ridge: float, centered: bool) -> None:
    method = fitted(ridge=ridge, centered=centered)
    reference, text, target = halves_by_hand(ridge, centered)
    query = method.encode_query(batch())
    np.testing.assert_allclose(query[:, 0].numpy(), reference, atol=1e-5)
    np.testing.assert_allclose(query[:, 1].numpy(), text, atol=1e-5)
    np.testing.assert_allclose(method.encode_gallery(batch()).numpy(), target, atol=1e-5)


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_the_scores_are_the_sum_and_the_product_of_the_halves(weight: float) -> None:
    reference, text, target = halves_by_hand(0.1, True)
    s, t = reference @ target.T, text @ target.T
    scaled = [np.clip((half + 0.2) / 1.2, 0, None) for half in (s, t)]
    for changes, expected in (
        ({"halves": "half_sum"}, s + weight * t),
        ({"halves": "half_product", "floor": -0.2}, scaled[0] * scaled[1] ** weight),
    ):
        method = fitted(text_weight=weight, **changes)
        actual = method.similarity(method.encode_query(batch()), method.encode_gallery(batch()))
        np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


def test_exponentially_scaled_halves_multiplied_rank_as_a_sum() -> None:
    reference, text, target = halves_by_hand(0.1, True)
    product = np.exp(3 * reference @ target.T) * np.exp(6 * text @ target.T)
    method = fitted(halves="half_sum", text_weight=2.0)
    scores = method.similarity(method.encode_query(batch()), method.encode_gallery(batch())).numpy()
    assert (product.argsort(1) == scores.argsort(1)).all()


def test_batches_in_parts_and_more_epochs_give_the_same_map() -> None:
    whole, parts = fitted(), build()
    for _ in range(2):
        for rows in (slice(0, 2), slice(2, 6)):
            parts({name: value[rows] for name, value in batch().items()})
    torch.testing.assert_close(parts.eval().encode_query(batch()), whole.encode_query(batch()))
    restored = build()
    restored.load_state_dict(whole.state_dict())
    assert torch.equal(restored.eval().encode_query(batch()), whole.encode_query(batch()))


def test_the_sums_are_of_the_batch_of_all_ranks() -> None:
    whole, halves = build(), build()
    whole(batch())
    first, second = ({name: value[rows] for name, value in batch().items()} for rows in (slice(0, 3), slice(3, 6)))
    of_others = iter([(second["text"], second["text_mask"]), (second["regions"], second["region_mask"])])

    def gather(rows: Tensor) -> Tensor:
        return torch.cat([rows, torch.from_numpy(mean(*next(of_others))).to(rows)])

    halves(first, StepContext(gather=gather))
    assert float(halves.pairs) == len(batch()["text"])
    for name, value in whole.named_buffers():
        torch.testing.assert_close(dict(halves.named_buffers())[name], value, rtol=1e-5, atol=1e-5)


def test_nothing_is_minimised_and_the_optimizer_moves_nothing() -> None:
    method = build()
    method(batch())["loss"].backward()
    assert [float(parameter.grad) for parameter in method.parameters() if parameter.grad is not None] == [0.0]


def test_before_any_pair_was_seen_texts_say_nothing() -> None:
    query = build().eval().encode_query(batch())
    assert query[:, 1].count_nonzero() == 0 and torch.isfinite(query).all()


def test_queries_are_the_same_alone_and_with_their_texts_once() -> None:
    method, given = fitted(), batch()
    check_alone(method, given)
    row = torch.tensor([0, 1, 0, 1, 2, 2])
    once = given | {"text": given["text"][:3], "text_mask": given["text_mask"][:3], "text_row": row}
    repeated = given | {"text": given["text"][row], "text_mask": given["text_mask"][row]}
    torch.testing.assert_close(method.encode_query(once), method.encode_query(repeated))


def test_words_have_no_feature_to_map() -> None:
    with pytest.raises(UsageError, match=r"encoder\.text\.kind=tokens"):
        HalfQueries(ENCODER, HalfQueriesConfig(), Inputs(region_features=6, words=20))


def test_sums_are_not_averaged_over_the_steps(tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    config = tiny(
        table, tmp_path, method__kind="half_queries", optim__batch_size=4, optim__ema_decay=0.9, optim__num_epochs=1
    )
    fit_here(config)
    model, *_ = load_run(config.folder)
    assert model.pairs == len(QuerySplit(table, "train")) // 4 * 4
