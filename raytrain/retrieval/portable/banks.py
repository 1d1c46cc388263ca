"""Banks of inductive re-ranking that were stored with a model: embeddings of training queries, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from raytrain.errors import UsageError
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.record import BANK_NAME
from raytrain.methods.base import Method
from raytrain.retrieval.portable.description import Bank as BankSettings
from raytrain.retrieval.query_banks import Bank, Direction, RunBanks

NAME = "banks.safetensors"
_DIRECTIONS: tuple[Direction, ...] = ("t2i", "i2t")


def write_banks(folder: Path, banks: RunBanks) -> BankSettings | None:
    """Store the banks of a run's directions that re-rank; None where nobody has searched their settings."""
    if not (banks.folder / BANK_NAME).exists():
        return None
    temperatures = banks.temperatures()
    tensors: dict[str, Tensor] = {}
    for direction in _DIRECTIONS:
        if temperatures.mode_of(direction) != "off":
            bank = banks.bank(direction, temperatures)
            tensors[f"{direction}.embeddings"] = bank.embeddings.cpu().contiguous()
            tensors[f"{direction}.items"] = torch.from_numpy(bank.items.astype("int64"))
    save_file(tensors, folder / NAME)
    return BankSettings(params=temperatures.as_dict(), fingerprint=banks.fingerprint)


class StoredBanks:
    """The banks in a portable model.

    Args:
        model: in evaluation mode.
        settings: of the description; None where nobody had searched them.
        tensors: of banks.safetensors.
        device: of the model.
    """

    def __init__(
        self, model: Method, settings: BankSettings | None, tensors: Mapping[str, Tensor], device: torch.device
    ) -> None:
        self.model, self.settings, self.tensors, self.device = model, settings, tensors, device
        self.fingerprint = "" if settings is None else settings.fingerprint

    def temperatures(self) -> Temperatures:
        """What `raytrain rerank --bank` chose before the export; UsageError where nobody had searched."""
        if self.settings is None:
            raise UsageError(
                "this export has no settings of inductive re-ranking; search them with `raytrain rerank RUN --bank "
                "1000,5000`, and export the run again"
            )
        return Temperatures.from_dict(self.settings.params)

    def bank(self, direction: Direction, temperatures: Temperatures) -> Bank:
        embeddings = self.tensors[f"{direction}.embeddings"].to(self.device)
        return Bank(embeddings, self.tensors[f"{direction}.items"].numpy())
