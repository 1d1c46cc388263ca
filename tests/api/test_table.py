"""A table is built, opened, encoded and checked from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import raytrain

pytest.importorskip("PIL", reason="decoding images needs pillow")

from tests.data.pictures import entry, karpathy


def test_a_table_is_built_opened_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    karpathy(tmp_path / "flickr8k", [entry(n, split) for n, split in enumerate(["train"] * 4 + ["val", "test"])])
    table = raytrain.Table.build("karpathy", tmp_path / "flickr8k", tmp_path / "table")
    assert isinstance(table, raytrain.Table) and table.splits["train"]["items"] == 4
    assert raytrain.Table.open(tmp_path / "table").fingerprint == table.fingerprint
    assert [problem.level for problem in table.check(workers=1) if problem.level == "error"] == []
    with pytest.raises(raytrain.UsageError, match="has no option 'vall'"):
        raytrain.Table.build("karpathy", tmp_path / "flickr8k", tmp_path / "other", vall=0.1)
    with pytest.raises(raytrain.DataError):
        raytrain.Table.open(tmp_path / "nothing")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_features_of_a_backbone_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    karpathy(tmp_path / "flickr8k", [entry(n, split) for n, split in enumerate(["train", "val", "test"])])
    table = raytrain.Table.build("karpathy", tmp_path / "flickr8k", tmp_path / "table")
    news: list[raytrain.ProgressEvent] = []
    given = []

    def encode(path: Path, backbone: str, **options: object) -> dict[str, object]:
        given.append((path, backbone, options["pad"], options["name"]))
        options["progress"]("lite0: 3/3")  # type: ignore[operator]
        return {"features": "lite0", "kind": "image", "shape": [3, 5, 8], "dtype": "float16",
                "items_per_second": 2.0, "seconds": 1.5, "missing": 0, "taken_up": 0}  # fmt: skip

    monkeypatch.setattr("raytrain.data.encode.encode.encode", encode)
    added = table.encode("lite0", target_pad=1.25, progress=news.append)
    assert added.shape == (3, 5, 8) and [event.text for event in news] == ["lite0: 3/3"]
    assert given == [(table.path, "lite0", 1.25, None)]
