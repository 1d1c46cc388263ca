"""`--to mlflow`: the model in MLflow's registry, as a candidate of its experiment."""

from __future__ import annotations

from pathlib import Path

from raytrain.errors import UsageError
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.registry.log import log_model
from raytrain.retrieval.runs import OpenRun
from raytrain.tracking.store import prepare_store
from raytrain.tracking.uri import check_uri, default_uri


def write_mlflow(run: OpenRun, out: Path, options: ExportOptions) -> dict[str, str]:
    """Log and register the run's model in `options.tracking`, or the storage's own store; `out` is not used.

    Returns:
        {"path": models:/NAME/VERSION, "model", "version", "store"}

    Raises:
        UsageError: no address of a store, or MLflow is not installed.
        TrackingError: MLflow did not take it.
    """
    if options.tracking == "none":
        raise UsageError("--to mlflow writes to MLflow; --tracking none leaves it out")
    uri = check_uri(options.tracking or default_uri(run.record.folder.parent.parent))
    prepare_store(uri)
    logged = log_model(run, uri)
    return {"path": logged.uri, "model": logged.name, "version": logged.version, "store": uri}
