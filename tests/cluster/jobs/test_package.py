"""The files of a working directory: the same that Ray would send, and not too many of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raytrain.cluster.jobs import package, secrets
from raytrain.errors import UsageError

pytest.importorskip("ray", reason="Ray is not installed")


def test_the_files_are_those_that_ray_would_send(tree: Path, tmp_path: Path) -> None:
    """Ray's own package of the same folder holds the same files."""
    import zipfile

    from ray._private.runtime_env import packaging

    sent = package.list_package(tree)
    assert set(sent.sizes) == {"job.py", "part/code.py", ".rayignore", "part/.gitignore"}
    packaging.create_package(str(tree), tmp_path / "p.zip", include_gitignore=True, excludes=package.NEVER_SENT)
    assert set(zipfile.ZipFile(tmp_path / "p.zip").namelist()) == set(sent.sizes)


def test_links_to_a_folder_that_holds_them_are_left_out_here_and_by_ray(tree: Path, tmp_path: Path) -> None:
    import zipfile

    from ray._private.runtime_env import packaging

    plain = package.list_package(tree).sizes
    (tree / "loop").symlink_to(".")
    (tree / "part" / "up [1]").symlink_to("..")
    (tree / "above").symlink_to(tree.parent)
    for name, other in (("a", "b"), ("b", "a")):
        (tree / name).mkdir()
        (tree / name / "other").symlink_to(tree / other)
    sent = package.list_package(tree)
    assert sent.sizes == plain
    assert set(sent.loops) == {"/loop", "/part/up\\ \\[1\\]", "/above", "/a/other/other", "/b/other/other"}
    excludes = [*package.NEVER_SENT, *sent.loops]
    packaging.create_package(str(tree), tmp_path / "p.zip", include_gitignore=True, excludes=excludes)
    names = zipfile.ZipFile(tmp_path / "p.zip").namelist()
    assert {name for name in names if not name.endswith("/")} == set(plain)


def test_too_large_a_folder_names_its_largest_files(tree: Path) -> None:
    (tree / "model.pt").write_bytes(b"0" * 2_000_000)
    (tree / "more.bin").write_bytes(b"0" * 1_000_000)
    with pytest.raises(
        UsageError, match=r"(?s)3.0 MB in 6 files, more than 1 MB.*2.0 MB  model.pt\n.*1.0 MB  more.bin"
    ):
        package.list_package(tree).refuse_above(1)
    package.list_package(tree).refuse_above(3.1)


def test_the_digest_follows_names_and_contents_and_not_times(tree: Path) -> None:
    first = package.list_package(tree).digest()
    os.utime(tree / "job.py", (1, 1))
    assert package.list_package(tree).digest() == first
    (tree / "job.py").rename(tree / "renamed.py")
    assert package.list_package(tree).digest() != first


def test_a_folder_without_a_file_to_send_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        package.list_package(tmp_path / "nothing")
    (tmp_path / ".gitignore").write_text("*\n")
    with pytest.raises(UsageError, match="holds no file that is not ignored"):
        package.list_package(tmp_path)


def test_this_repository_can_be_sent() -> None:
    root = Path(__file__).resolve().parents[3]
    sent = package.list_package(root)
    assert {"jobs/sweep.py", "raytrain/sweeps/sweep.py", "raytrain/cluster/jobs/secrets.py"} <= sent.sizes.keys()
    assert not [name for name in sent.sizes if name.startswith(("docs/", "tests/", "runs/"))]
    assert sent.bytes < 5e6
    assert secrets.in_files(root, sent.sizes) == []
