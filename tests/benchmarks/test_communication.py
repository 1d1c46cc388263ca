"""Predicted efficiency of many GPUs: what it follows from, and the tables of docs/scale.md."""

from __future__ import annotations

import pytest

from benchmarks.communication import compute_of, efficiency, main, networks, options, refuse_other_bytes, sent_by
from benchmarks.exchanges import predicted
from benchmarks.step_cost import StepCost, step_cost
from raytrain.data.table import Table
from tests.benchmarks.test_step_cost import SIZES
from tests.gpu.steps import STEPS
from tests.runs import tiny


def cost_of(name: str, table: Table) -> StepCost:
    return step_cost(tiny(table, table.path.parent, **STEPS[name]), SIZES)


@pytest.fixture(scope="module")
def dvse(table: Table) -> StepCost:
    return cost_of("dvse", table)


def test_efficiency_falls_with_more_ranks_and_slower_networks(dvse: StepCost) -> None:
    args = options().parse_args([])
    slow, middle, fast = networks(args).values()
    by_count = [efficiency(dvse, count, slow, args) for count in (1, 8, 64, 256)]
    assert by_count[0] == 1
    assert by_count == sorted(by_count, reverse=True)
    alone = [efficiency(dvse, count, slow, args, compared=1) for count in (8, 64, 256)]
    assert all(whole <= messages for whole, messages in zip(by_count[1:], alone, strict=True))
    args.step_ms = 20.0
    assert efficiency(dvse, 64, slow, args) <= efficiency(dvse, 64, middle, args) <= efficiency(dvse, 64, fast, args)


def test_a_measured_step_is_that_of_one_gpu_and_its_scores_grow_with_the_square(dvse: StepCost) -> None:
    args = options().parse_args(["--step-ms", "20"])
    alone, many = (compute_of(dvse, count, args) for count in (1, 64))
    assert alone.encoders_s + alone.scores_s == pytest.approx(0.02)
    assert many.encoders_s == alone.encoders_s
    assert alone.scores_s * 64 < many.scores_s < alone.scores_s * 64**2


def test_methods_of_words_and_regions_tell_their_shapes(table: Table, dvse: StepCost) -> None:
    assert "shapes" in sent_by(cost_of("scan-words", table), 8)
    assert "shapes" not in sent_by(dvse, 8)


def test_a_formula_that_is_wrong_about_a_small_step_is_refused(dvse: StepCost, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_other_bytes(dvse, SIZES)
    wrong = predicted(dvse.config, dvse.model, dvse.shape, 3, even=True)
    monkeypatch.setattr("benchmarks.communication.predicted", lambda *given, **more: wrong)
    with pytest.raises(SystemExit, match="dvse: the formula is wrong about rows"):
        refuse_other_bytes(dvse, SIZES)


def test_the_tables_have_a_line_per_recipe_and_number_of_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = "regions=3,region_features=6,tokens=4,words=12,captions=2"
    main([
        "dvse_flickr30k", "encoder.dim=8", "encoder.gpo_dim=4", "encoder.text.word_dim=4", "--assume", sizes,
        "--ranks", "8", "16",
    ])  # fmt: skip
    sent, shares, parts = capsys.readouterr().out.split("\n\n")
    assert [len(table.strip().splitlines()) - 2 for table in (sent, shares, parts)] == [1, 1, 3]
    assert "16, EFA, 400 Gb/s" in shares
