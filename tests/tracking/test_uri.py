"""Addresses of stores: which are refused, which is the default, and how a message names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.tracking.uri import check_uri, default_uri, named, page_of, where_to_look


@pytest.mark.parametrize(
    "bad",
    ["mlruns", "sqlite:///mlflow.db", "sqlite:///:memory:", "file:///tmp/x", "http://", "http://[1", ""],
)
def test_a_store_that_would_not_last_is_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="sqlite:////absolute/path"):
        check_uri(bad)


def test_an_address_keeps_its_password_out_of_the_error() -> None:
    with pytest.raises(UsageError) as caught:
        check_uri("ftp://me:secret@host/x")
    assert "secret" not in str(caught.value)


def test_a_refused_address_says_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with pytest.raises(UsageError, match=r"'databricks' \(of MLFLOW_TRACKING_URI\).*tracking=.none. leaves"):
        check_uri("databricks")
    with pytest.raises(UsageError, match=r"'sqlite:///mlflow.db' \(of tracking\)"):
        check_uri("sqlite:///mlflow.db")


def test_the_default_store_is_absolute_and_the_environment_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_uri(default_uri("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://host:5000")
    assert default_uri("runs") == "https://host:5000"


def test_a_message_names_the_store_and_where_its_address_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert named("sqlite:////data/runs/mlflow.db") == "/data/runs/mlflow.db (the storage's own)"
    assert named("http://me:secret@host:5000") == "http://...@host:5000 (of tracking)"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert named("http://host:5000") == "http://host:5000 (of MLFLOW_TRACKING_URI)"


def test_runs_are_opened_by_a_command_that_works_and_not_on_the_page_of_traces() -> None:
    page = "/#/experiments/3/runs?workflowType=machine_learning"
    assert where_to_look("sqlite:////my runs/mlflow.db", "3") == (
        f"mlflow ui --backend-store-uri 'sqlite:////my runs/mlflow.db', then http://127.0.0.1:5000{page}"
    )
    assert page_of("3", "abc") == "#/experiments/3/runs/abc?workflowType=machine_learning"
    assert where_to_look("https://me:secret@host/", "3") == f"https://...@host{page}"
