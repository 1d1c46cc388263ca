"""A portable model as Hugging Face's libraries open and save one: PretrainedRetriever.from_pretrained("user/model")."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download

from raytrain.distributed import default_device
from raytrain.errors import UsageError
from raytrain.retrieval.portable.manifest import NAME as MANIFEST
from raytrain.retrieval.portable.manifest import verify_files
from raytrain.retrieval.portable.read import open_portable
from raytrain.retrieval.retriever import Retriever


class PretrainedRetriever(Retriever, PyTorchModelHubMixin, library_name="raytrain"):
    """A Retriever of a folder that `raytrain export --to hub` wrote, here or on the hub. No code of it is run.

    Attributes:
        folder: that it was opened from.
    """

    folder: Path | None = None

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        device: str | None = None,
        **_: Any,
    ) -> PretrainedRetriever:
        folder = Path(model_id)
        if not folder.is_dir():
            folder = Path(
                snapshot_download(
                    model_id, revision=revision, cache_dir=cache_dir, force_download=force_download,
                    local_files_only=local_files_only, token=token,
                )
            )  # fmt: skip
        opened = open_portable(folder.resolve(), torch.device(device) if device else default_device(), cls)
        opened.folder = folder.resolve()
        return opened

    def _save_pretrained(self, save_directory: Path) -> None:
        """Copy the files of the folder that it was opened from."""
        if self.folder is None:
            raise UsageError("only what from_pretrained opened can be saved; `raytrain export` writes a run's model")
        for name in [*verify_files(self.folder).files, MANIFEST]:
            (save_directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / name, save_directory / name)
