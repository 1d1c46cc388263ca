from __future__ import annotations

from pathlib import Path

import pytest

from tests.review.made_reports import made_experiment


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the experiment of `made_experiment`, which no test may change."""
    return made_experiment(tmp_path_factory.mktemp("reported"))
