"""The targets of `raytrain export`, and an export to some of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.distributed import default_device
from raytrain.errors import UsageError, no_such_name
from raytrain.retrieval.export.faiss import write_faiss
from raytrain.retrieval.export.hub import write_hub
from raytrain.retrieval.export.mlflow import write_mlflow
from raytrain.retrieval.export.onnx import write_onnx
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.runs import OpenRun, open_run

Target = Callable[[OpenRun, Path, ExportOptions], Mapping[str, Any]]
"""(run, folder to write, options) -> facts of what was written, "path" among them."""

TARGETS: dict[str, Target] = {
    "hub": write_hub,
    "onnx": write_onnx,
    "mlflow": write_mlflow,
    "faiss": write_faiss,
}


def export_run(
    run: str | os.PathLike[str],
    targets: Sequence[str],
    out: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    options: ExportOptions | None = None,
) -> dict[str, Any]:
    """Export the best checkpoint of a finished run.

    Args:
        targets: of TARGETS.
        out: folder to write; with several targets, each writes into a folder of its name below it. Default
            export/TARGET in the run's folder.
        table: folder of the run's table, where it was moved since training.

    Returns:
        {"run", "paths": {target: folder or address}, "exports": {target: its facts}}

    Raises:
        UsageError: no such target, something that the target cannot express, or a missing package.
        RefusedError: the run has not finished, or the folder holds files.
        DataError: the checkpoint is damaged, or the table is gone.
    """
    names = list(dict.fromkeys(targets))
    for name in names:
        if name not in TARGETS:
            raise UsageError(no_such_name("target", name, TARGETS))
    if not names:
        raise UsageError(f"name a target: --to {','.join(TARGETS)}")
    opened = open_run(run, default_device(), table)
    exports = {}
    for name in names:
        place = opened.record.folder / "export" / name
        if out is not None:
            place = Path(out).expanduser().resolve() / ("" if len(names) == 1 else name)
        exports[name] = dict(TARGETS[name](opened, place, options or ExportOptions()))
    paths = {name: facts["path"] for name, facts in exports.items()}
    return {"run": str(opened.record.folder), "paths": paths, "exports": exports}
