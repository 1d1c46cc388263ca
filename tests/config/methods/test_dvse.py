from __future__ import annotations

import pytest
from pydantic import ValidationError

from raytrain.config import DVSEConfig


def test_a_learned_score_without_a_gradient_is_refused() -> None:
    with pytest.raises(ValidationError, match="score=learned has no gradient unless fused_weight is above 0"):
        DVSEConfig(score="learned")
    assert DVSEConfig(score="learned", fused_weight=0.1).fused_weight == 0.1
    assert DVSEConfig(score="mean").fused_weight == 0
