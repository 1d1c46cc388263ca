"""Hostile YAML is one line, and does no more than a few milliseconds of work."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from raytrain.config import from_yaml
from raytrain.config.yaml_files import read_yaml
from raytrain.errors import UsageError

LAUGHS = "\n".join(["a: &a [x, x, x, x, x, x, x, x, x]"] + [
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefg", "bcdefgh", strict=True)
])  # fmt: skip


def test_plain_values_are_read_and_dates_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: {b: [1, 2.5, true, null, yes]}\ndate: 2026-11-27\nbad: 2024-13-45\nn: 1e3\nt: 010\n")
    assert read_yaml(path, "x") == {
        "a": {"b": [1, 2.5, True, None, True]}, "date": "2026-11-27", "bad": "2024-13-45", "n": "1e3", "t": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LAUGHS, "line 2 cannot be read as YAML: alias \\*a: write its value"),
        ("a: &x\n  b: *x\n", "line 2 .* alias"),
        ("name: " + "[" * 20_000, "line 1 .* more than 32 levels deep"),
        ("name: " + "{a: " * 20_000, "line 1 .* more than 32 levels deep"),
        ("- " * 20_000, "more than 32 levels deep"),
        ("seed: " + "1" * 6000, "line 1 .* a number of 6,000 digits"),
        ("seed: 0x" + "f" * 6000, "a number of 6,002 digits"),
        ("seed: " + "1" * 6000 + ".5", "a number of 6,002 digits"),
        ("seed: 1\nseed: 2\n", "line 2 .* 'seed' is given twice"),
        ("a: {b: 1, b: 1}", "'b' is given twice"),
        ("a: !!python/object/apply:os.system [x]", "line 1 .* could not determine a constructor"),
        ("a: !!int x", "invalid literal"),
        ("a: !!timestamp 2024-13-45", "month must be in 1..12"),
        ("? [a]\n: 1", "unhashable key"),
        ("a: 1\n--- \nb: 2", "but found another document"),
        ("a: [1", "line 1 .* expected"),
        ("a: \x07", "special characters are not allowed"),
        ("", "holds no run: nothing"),
        ("- 1", "holds no run: list"),
        ("# " + "x" * 2**18, "more than 262.1 kB"),
        ("method: {kind: \"\\e]0;pwned\\a\"}", r"\\x1b\]0;pwned\\x07"),
    ],
)  # fmt: skip
def test_hostile_yaml_is_one_line_at_once(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(UsageError, match=what) as caught:
        from_yaml(path)
    assert time.process_time() - started < 1
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message and message.isprintable() and len(message) < 1000


def test_bytes_pipes_and_folders_are_one_line_too(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, what in (("latin.yaml", "can't decode"), ("pipe.yaml", "is a named pipe"), ("", "is a folder")):
        with pytest.raises(UsageError, match=f"cannot be read as YAML: .*{what}"):
            read_yaml(tmp_path / name, "run")
