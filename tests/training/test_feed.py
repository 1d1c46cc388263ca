from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import UsageError
from raytrain.training.feed import open_feed
from raytrain.training.fit import build_method
from tests.runs import tiny
from tests.tables import make_table


@pytest.mark.parametrize("text", ["tokens", "bigru"])
def test_a_method_learns_which_region_is_the_whole_image_from_the_table(text: Any, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    config = tiny(table, tmp_path, method__kind="vsepp", method__image="global", encoder__text__kind=text)
    assert open_feed(config, table).inputs.global_region is None
    with pytest.raises(UsageError, match=r"method\.image=mean"):
        build_method(config, open_feed(config, table))
    table.description["features"]["lite0"]["encoder"]["global_index"] = 4
    assert open_feed(config, table).inputs.global_region == 4
    build_method(config, open_feed(config, table))
