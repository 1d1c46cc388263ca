"""Log the model of a run to MLflow from code, with metrics and data, and register it under its experiment's name."""

from __future__ import annotations

import base64
import io
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

import raytrain
from raytrain.errors import TrackingError
from raytrain.files import plain_name
from raytrain.progress import say
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import OpenRun, open_run
from raytrain.tracking.datasets import DIGEST_CHARACTERS
from raytrain.tracking.description import describe_run, escaped
from raytrain.tracking.faults import explained
from raytrain.tracking.journal import Journal
from raytrain.tracking.measurements import evaluation_metrics
from raytrain.tracking.mlflow import sync
from raytrain.tracking.replay import METRICS_PER_BATCH, allowed_name, ms
from raytrain.tracking.run_record import RunRecord
from raytrain.tracking.store import open_client
from raytrain.tracking.uri import named, sqlite_path

CANDIDATE, CHAMPION = "candidate", "champion"
UID, RUN, CHECKPOINT = "raytrain.uid", "raytrain.run", "raytrain.checkpoint"
"""Tags of a version: whose model it is."""
MODEL = "raytrain.model_id"
"""Tag of a version: MLflow's id of what was logged, which a version does not always have in its own field."""
MOST_IMAGES = 50_000
"""Images of a table up to which the end of a sweep logs its best model."""
CODE = Path(__file__).with_name("search_model.py")
REQUIREMENTS = ("torch", "numpy", "pyarrow", "pydantic", "safetensors", "nltk", "pillow", "transformers", "mlflow")
"""What a server needs beside raytrain, at the versions that are installed here."""


class Registered(NamedTuple):
    """A version of a registered model.

    Args:
        name: of the model, that of the experiment.
        version: its number.
        model_id: MLflow's id of what was logged.
    """

    name: str
    version: str
    model_id: str

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.version}"


def registered(record: RunRecord, checkpoint: str, uri: str) -> Registered | None:
    """The version that holds a checkpoint of a run; None where it was not logged.

    Raises:
        TrackingError: the store cannot be used.
    """
    name = plain_name(record.folder.parent)
    with explained(uri):
        for each in open_client(uri).search_model_versions(f"name = '{name}'"):
            tags = each.tags
            if tags.get(UID) == record.uid and tags.get(CHECKPOINT) == checkpoint and MODEL in tags:
                return Registered(name, str(each.version), tags[MODEL])
    return None


def log_model(run: OpenRun, uri: str) -> Registered:
    """Log the best checkpoint of a run with a gallery of its table's images, once, as `candidate`.

    Args:
        uri: of the store, which is brought up to date with the run first.

    Raises:
        TrackingError: MLflow did not take it.
        DataError, RefusedError: as `write_portable` and `Retriever.gallery`.
    """
    run_id = sync(run.record.folder, uri).run_id
    if run_id is None:
        raise TrackingError(f"{named(uri)}: has no run for {run.record.folder}")
    there = registered(run.record, run.saved.path.name, uri)
    if there is None:
        with tempfile.TemporaryDirectory(prefix="raytrain-") as place:
            write_portable(run, Path(place) / "model", with_gallery=True)
            with explained(uri):
                there = _log(run, open_client(uri), uri, run_id, Path(place))
    with explained(uri):
        open_client(uri).set_registered_model_alias(there.name, CANDIDATE, there.version)
        _link_metrics(open_client(uri), run, run_id, there.model_id)
    return there


def log_or_warn(folder: Path, uri: str) -> str | None:
    """The address of the best run's model, logged at the end of a sweep; None, and a warning, where that fails.

    Whatever goes wrong, a sweep that has ended stays ended. A table of more than MOST_IMAGES is left to `raytrain
    export --to mlflow`: embedding its gallery takes long.
    """
    try:
        run = open_run(folder, torch.device("cpu"))
        if len(run.table.items) > MOST_IMAGES:
            say(f"{folder.name}: its table has many images; `raytrain export {folder} --to mlflow` logs its model")
            return None
        return log_model(run, uri).uri
    except Exception as error:
        warnings.warn(
            f"the model of {folder} was not logged to MLflow: {error}. `raytrain export {folder} --to mlflow` does it",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _log(run: OpenRun, client: Any, uri: str, run_id: str, place: Path) -> Registered:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.exceptions import MlflowException

    record, name = run.record, plain_name(run.record.folder.parent)
    tags = {UID: str(record.uid), RUN: record.folder.name, CHECKPOINT: run.saved.path.name}
    tags["fingerprint"] = run.table.fingerprint
    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment, name, source_run_id=run_id, tags=tags, model_type="retrieval")
    try:
        _save(run, place, model.model_id, run_id)
        client.log_model_artifacts(model.model_id, str(place / "saved"))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    except BaseException:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
        raise
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=run.record.best_epoch or 0)])
    try:
        client.create_registered_model(name, description=f"Retrieval models of the experiment {name}, by raytrain.")
    except MlflowException:
        client.get_registered_model(name)  # it is there already; or the store is at fault, which this raises
    # a sqlite store would look for models:/ID in the store that is set for the whole process
    source = f"models:/{model.model_id}" if sqlite_path(uri) is None else model.artifact_location
    of_run = describe_run(record, Journal(record.folder).read(), None)
    logged = client.create_model_version(
        name, source, run_id=run_id, tags=tags | {MODEL: str(model.model_id)}, model_id=model.model_id,
        description=f"Run {escaped(record.folder.name)}. {of_run}",
    )  # fmt: skip
    return Registered(name, str(logged.version), str(model.model_id))


def _save(run: OpenRun, place: Path, model_id: str, run_id: str) -> None:
    """Write place/saved, MLflow's form of place/model. No path of this machine is left in it."""
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    code, saved = place / CODE.name, place / "saved"
    code.write_bytes(CODE.read_bytes())
    signature, example = _signature(run.retriever.composed)
    with warnings.catch_warnings(record=True):  # of classes without MLflow's type hints; it sets filters of its own
        from raytrain.retrieval.registry.pyfunc import ARTIFACT

        save_model(
            saved, python_model=str(code), artifacts={ARTIFACT: str(place / "model")}, signature=signature,
            input_example=example, pip_requirements=requirements(),
            mlflow_model=Model(model_uuid=model_id, model_id=model_id, run_id=run_id),
        )  # fmt: skip
    model = Model.load(str(saved))
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = CODE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    model.save(str(saved / "MLmodel"))


def requirements() -> list[str]:
    """What serving needs, by exact versions; a local build of torch is named by its public version."""
    pins = [f"raytrain=={raytrain.__version__}"]
    for package in REQUIREMENTS:
        try:
            pins.append(f"{package}=={version(package).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return pins


def _signature(composed: bool) -> tuple[Any, Any]:
    """The signature of SearchModel, and an example of its input with params."""
    import pandas
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    inputs = Schema(
        [
            ColSpec(DataType.string, "text", required=False),
            ColSpec(DataType.string, "image", required=False),
        ]
    )
    outputs = Schema(
        [
            ColSpec(Array(DataType.string), "ids"),
            ColSpec(Array(DataType.double), "scores"),
            ColSpec(Array(DataType.string), "texts"),
        ]
    )
    params = ParamSchema([ParamSpec("k", DataType.long, 10), ParamSpec("rerank", DataType.boolean, False)])
    row = {"text": "in blue", "image": _white_square()} if composed else {"text": "a red shoe"}
    return ModelSignature(inputs, outputs, params), (pandas.DataFrame([row]), {"k": 5, "rerank": False})


def _white_square() -> str:
    """A small PNG in base64."""
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (32, 32), "white").save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def _link_metrics(client: Any, run: OpenRun, run_id: str, model_id: str) -> None:
    """The run's measurements again, each with the model and the data it is of; MLflow keeps one of two equal points."""
    from mlflow.entities import Metric

    table, digest = run.table.path.name, run.table.fingerprint[:DIGEST_CHARACTERS]
    metrics = [
        Metric(
            allowed_name(name), float(value), ms(event), run.record.best_epoch or 0, model_id=model_id,
            dataset_name=f"{table}/{split}", dataset_digest=digest,
        )
        for event, split, values in _measured(run.record)
        for name, value in values.items()
        if isinstance(value, (int, float))
    ]  # fmt: skip
    for first in range(0, len(metrics), METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + METRICS_PER_BATCH])


def _measured(record: RunRecord) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """(event, split, metrics) of the best epoch's validation and of each evaluation."""
    if record.best_epoch is not None:
        validation = {name: value for name, value in record.best_metrics.items() if name.startswith("val/")}
        yield record.epoch_events[record.best_epoch], str(record.config["data.val_split"]), validation
    for event in Journal(record.folder).read():
        if event["event"] == "evaluation" and event.get("metrics"):
            yield event, str(event["split"]), evaluation_metrics(event)
