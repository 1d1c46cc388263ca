"""What the verbs of `data` hand on; tests/data builds, checks and encodes tables through them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.table import Table
from tests.command_lines import parse


def test_a_share_of_missing_images_is_an_option_of_the_source(
    table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("raytrain.data.build.build", lambda *given, **more: calls.append((given, more)) or table)
    flags = ["--root", "r", "--allow-missing", "0.1", "--out", "t", "--json"]
    assert main(["data", "build", "cub", "fold=01", *flags]) == 0
    assert calls == [(("cub", "r", "t"), {"fold": 1, "allow_missing": 0.1})]
    printed = json.loads(capsys.readouterr().out)
    assert printed["fingerprint"] == table.fingerprint and printed["splits"] == table.splits
    assert (printed["items"], printed["texts"]) == (len(table.items), len(table.texts))


def test_a_table_with_a_problem_exits_with_3(table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(table.path, tmp_path / "t")
    assert main(["data", "check", str(tmp_path / "t"), "--no-images"]) == 0
    capsys.readouterr()
    with (tmp_path / "t" / "items.arrow").open("ab") as file:
        file.write(b"x")
    assert main(["data", "check", str(tmp_path / "t"), "--no-images", "--json"]) == 3
    printed = json.loads(capsys.readouterr().out)
    assert not printed["ok"] and printed["exit_code"] == 3 and "items.arrow" in printed["problems"][0]["file"]


@pytest.mark.parametrize("workers", [0, 3])
def test_features_are_encoded_here_or_on_ray(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def encode(*given: Any, **more: Any) -> dict[str, Any]:
        calls.append((given, more))
        return {"features": "x", "items_per_second": 1.0}

    monkeypatch.setattr("raytrain.data.encode.encode.encode", encode)
    monkeypatch.setitem(sys.modules, "raytrain.cluster.encode", SimpleNamespace(encode_on_ray=encode))
    assert main(f"data encode t --backbone lite0 --workers {workers} --target-pad 1.25 --replace".split()) == 0
    options = {"name": None, "kind": None, "dtype": "float16", "batch_size": 64, "allow_missing": 0.0, "pad": 1.25,
               "shard_items": 2048, "replace": True}  # fmt: skip
    assert calls == [(("t", "lite0", *([workers] if workers else [])), options)]


def test_features_that_are_there_are_not_encoded_again(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(iter(table.features))
    command = ["data", "encode", str(table.path), "--backbone", "lite0", "--name", name, "--if-missing"]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"features": name, "items_per_second": None}


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("data build emoji --out t", {"root": None, "allow_missing": None, "out": "t"}),
        ("data check t", {"workers": None, "fail_on": "copies", "no_images": False, "all_": False}),
        ("data check t --all --fail-on near --workers 2", {"workers": 2, "fail_on": "near", "all_": True}),
        ("data vocabulary v.pkl --out v.json", {"file": "v.pkl", "out": "v.json"}),
        ("data detect f", {"root": "f", "json": False}),
        ("data encode t --backbone b --dtype float32 --batch-size 8", {"dtype": "float32", "batch_size": 8}),
    ],
)
def test_flags_and_their_defaults(line: str, flags: dict[str, Any]) -> None:
    verb, result = parse(line.split())
    assert verb == " ".join(line.split()[:2])
    assert {name: result[name] for name in flags} == flags
