"""A working directory to send."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "tree"
    for name, text in {
        "job.py": "print('hello')", "part/code.py": "x = 1", "part/data.npy": "0" * 3000, ".git/config": "g",
        "runs/big.bin": "1" * 5000, ".rayignore": "/runs/\n", "part/.gitignore": "*.npy\n",
        "__pycache__/job.pyc": "c",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
