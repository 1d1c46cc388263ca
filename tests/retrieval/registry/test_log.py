"""A run's model in MLflow: from code, with metrics and data, registered once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from raytrain.retrieval.registry.log import CANDIDATE, Registered, log_model, log_or_warn, requirements
from raytrain.retrieval.runs import OpenRun
from raytrain.tracking.store import open_client


def artifacts_of(uri: str, logged: Registered) -> Path:
    return Path(open_client(uri).get_logged_model(logged.model_id).artifact_location.removeprefix("file://"))


def test_the_model_is_registered_once_under_its_experiment_as_a_candidate(
    opened: OpenRun, logged: Registered, uri: str
) -> None:
    assert (logged.name, logged.version) == ("shop", "1")
    assert log_model(opened, uri) == logged
    client = open_client(uri)
    assert str(client.get_registered_model("shop").aliases[CANDIDATE]) == "1"
    version = client.get_model_version("shop", "1")
    assert version.tags["raytrain.uid"] == opened.record.uid
    assert version.description.startswith("Run first. ") and "rsum" in version.description  # the registry lists it
    model = client.get_logged_model(logged.model_id)
    assert client.get_run(model.source_run_id).data.tags["raytrain.uid"] == opened.record.uid


def test_metrics_are_linked_to_model_and_data(opened: OpenRun, logged: Registered, uri: str) -> None:
    client = open_client(uri)
    model = client.get_logged_model(logged.model_id)
    metrics = {metric.key: metric for metric in model.metrics}
    assert metrics["val/rsum"].value == opened.record.best
    evaluated = metrics["val/split/rsum"]
    assert (evaluated.dataset_name, evaluated.dataset_digest) == ("table/val", opened.table.fingerprint[:36])
    history = client.get_metric_history(model.source_run_id, "val/split/rsum")
    assert len(history) == 1  # linking adds no second point to the run


def test_it_is_code_and_data_without_pickles_or_places_of_this_machine(logged: Registered, uri: str, run: Path) -> None:
    folder = artifacts_of(uri, logged)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".py", ".json", ".safetensors", ".npy", ".txt", ".yaml"}
    flavor = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
    assert flavor["model_code_path"] == "search_model.py"
    assert flavor["artifacts"]["model"] == {"path": "artifacts/model", "uri": "artifacts/model"}
    places = (str(run.parents[2]), "/tmp/")
    texts = [path.read_text() for path in files if path.suffix in ("", ".json", ".yaml", ".txt", ".py")]
    assert not [text for text in texts if any(place in text for place in places)]


def test_requirements_are_exact_and_name_raytrain() -> None:
    pins = requirements()
    assert pins[0].startswith("raytrain==") and any(pin.startswith("mlflow==") for pin in pins)
    assert all("==" in pin and "+" not in pin for pin in pins)


def test_the_end_of_a_sweep_survives_whatever_goes_wrong(tmp_path: Path, uri: str) -> None:
    with pytest.warns(RuntimeWarning, match=r"was not logged to MLflow.*raytrain export .* --to mlflow"):
        assert log_or_warn(tmp_path / "gone", uri) is None
