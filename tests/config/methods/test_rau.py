"""Settings of RAU that would leave something without a gradient are refused; those beside them are not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from raytrain.config import RAUConfig

NO_UNCERTAINTY = {"isu_weight": 0, "csu_weight": 0}


@pytest.mark.parametrize(
    ("settings", "message", "allowed"),
    [
        ({"base_weight": 0, **NO_UNCERTAINTY}, "nothing else ranks", {"base_weight": 0.1}),
        ({"test_features": "mean", **NO_UNCERTAINTY}, "one of their weights", {"isu_weight": 0.1}),
        ({"test_features": "mean", "csu_weight": 0, "isu_sides": "source"}, "both sides", {"isu_sides": "both"}),
        ({"theta_mode": "quantile", "theta": -0.1}, r"theta in \[0, 1\]", {"theta": 0.0}),
        ({"wiring": "parallel", "dr_blocks": "last", **NO_UNCERTAINTY}, "without a gradient", {"dr_blocks": "all"}),
    ],
)
def test_what_would_not_learn_is_refused(settings: dict[str, Any], message: str, allowed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=message):
        RAUConfig(**settings)
    RAUConfig(**{**settings, **allowed})
