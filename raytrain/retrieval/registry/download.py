"""The portable model behind an address of MLflow's registry."""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from raytrain.errors import UsageError
from raytrain.retrieval.portable.description import NAME
from raytrain.retrieval.registry.log import MODEL
from raytrain.tracking.faults import explained
from raytrain.tracking.store import open_client
from raytrain.tracking.uri import check_uri, default_uri, named

SCHEME = "models:/"
_FORMS = re.compile(r"models:/(?:(?P<id>m-[0-9a-f]+)|(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+)))")


def downloaded(address: str, store: str | None = None) -> Path:
    """The folder of the model, where it lies or where it was downloaded to, once per process and until it ends.

    Args:
        address: models:/NAME@ALIAS, models:/NAME/VERSION or models:/m-ID.
        store: of MLflow; default MLFLOW_TRACKING_URI, or mlflow.db in runs/.

    Raises:
        UsageError: another form, or a model that raytrain did not log.
        TrackingError: the store cannot be used, or has no such model.
    """
    form = _FORMS.fullmatch(address)
    if form is None:
        raise UsageError(f"{address}: give models:/NAME@champion, models:/NAME/VERSION or models:/m-ID")
    uri = check_uri(store or default_uri("runs"))
    with explained(uri):
        client = open_client(uri)
        folder = _folder(client, _model_id(client, form), uri)
    if not (folder / NAME).exists():
        raise UsageError(f"{address} in {named(uri)} is no model that raytrain logged")
    return folder


def _model_id(client: Any, form: re.Match[str]) -> str:
    if form["id"]:
        return form["id"]
    if form["alias"]:
        version = client.get_model_version_by_alias(form["name"], form["alias"])
    else:
        version = client.get_model_version(form["name"], form["version"])
    return str(version.tags.get(MODEL) or version.model_id)


def _folder(client: Any, model_id: str, uri: str) -> Path:
    return _fetched(f"{client.get_logged_model(model_id).artifact_location}/artifacts/model", uri)


@functools.cache
def _fetched(place: str, uri: str) -> Path:
    from mlflow.artifacts import download_artifacts

    if urlsplit(place).scheme in ("", "file"):
        return Path(download_artifacts(artifact_uri=place, tracking_uri=uri))
    folder = tempfile.mkdtemp(prefix="raytrain-model-")  # MLflow leaves a folder that it makes itself to nobody
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(download_artifacts(artifact_uri=place, tracking_uri=uri, dst_path=folder))
