"""The commit of a source tree, and of a job that has none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import raytrain
from raytrain.training import provenance


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_tree_is_known_by_its_commit_and_a_plus_marks_changes_of_its_files(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert provenance.commit(tmp_path) is None  # no commit yet
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "a")
    commit = git(tmp_path, "rev-parse", "--short=12", "HEAD")
    assert provenance.commit(tmp_path) == commit
    (tmp_path / "b.py").write_text("untracked: no change of the tree")
    assert provenance.commit(tmp_path) == commit
    (tmp_path / "a.py").write_text("2")
    assert provenance.commit(tmp_path) == f"{commit}+"


def test_outside_a_checkout_the_environment_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYTRAIN_COMMIT", raising=False)
    assert provenance.commit(tmp_path) is None
    monkeypatch.setenv("RAYTRAIN_COMMIT", "0123456789ab")
    assert provenance.commit(tmp_path) == "0123456789ab"


def test_where_git_is_missing_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(tmp_path) is None


def test_a_user_without_a_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert provenance.user() == "ada"

    def nameless() -> str:
        raise KeyError("uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert provenance.user() is None


def test_versions_and_device_are_those_of_this_process() -> None:
    versions = provenance.versions()
    assert (versions["raytrain"], versions["torch"]) == (raytrain.__version__, torch.__version__)
    assert versions["numpy"] == np.__version__
    assert provenance.device_name(torch.device("cpu")).endswith(" CPU")
