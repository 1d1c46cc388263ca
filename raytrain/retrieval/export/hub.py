"""`--to hub`: the portable form with a model card and a Gradio app, as the Hugging Face hub shows them. No upload."""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path

import raytrain
from raytrain.errors import UsageError, pip_install
from raytrain.retrieval.export.card import model_card
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.portable.description import Description
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import OpenRun

APP = "space_app.py.j2"


def write_hub(run: OpenRun, out: Path, options: ExportOptions) -> dict[str, str]:
    """Write the folder `out`, and return {"path"}.

    Raises:
        UsageError: the extra `export` is not installed.
        RefusedError: there are files in `out`.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UsageError(f"a folder for the hub needs huggingface_hub: {pip_install('export')}")
    write_portable(run, out, options.with_gallery)
    (out / "README.md").write_text(model_card(Description.read(out), options.licence), encoding="utf-8")
    app = files("raytrain.retrieval").joinpath("templates", APP).read_text(encoding="utf-8")
    (out / "app.py").write_text(app, encoding="utf-8")
    requirements = f"raytrain[encode,export]=={raytrain.__version__}\ngradio\n"
    (out / "requirements.txt").write_text(requirements, encoding="utf-8")
    return {"path": str(out)}
