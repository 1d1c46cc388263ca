"""A price table: what an hour of each accelerator and of a CPU costs, as the user wrote it down. None are built in."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from raytrain.config.parts import Part
from raytrain.errors import UsageError

NAME = "prices.yaml"
Price = Annotated[float, Field(ge=0)]


class Prices(Part):
    """Prices of an hour, in one currency, as of a date.

    Args:
        currency: as it should be shown, such as EUR.
        date: when the prices held.
        gpu_hour: of one GPU with its share of the node, by a part of the device's name; None where it is not known.
        cpu_hour: of one CPU of a worker without GPU; None where it is not known.
    """

    currency: str = Field(min_length=1)
    date: datetime.date
    gpu_hour: Mapping[str, Price | None] = Field(default_factory=dict)
    cpu_hour: Price | None = None

    def of_gpu(self, device: str) -> float | None:
        """Of the longest name that is a part of the device's, whatever the case: "A100" also stands for A100-SXM4."""
        known = [name for name in self.gpu_hour if name.lower() in device.lower()]
        return self.gpu_hour[max(known, key=len)] if known else None


def read_prices(path: str | os.PathLike[str]) -> Prices:
    """The table in a YAML file.

    Raises:
        UsageError: the file cannot be read, or a field is wrong; all such fields are named.
    """
    try:
        values = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read as prices: {error}") from None
    if not isinstance(values, Mapping):
        raise UsageError(f"{path} holds no price table; docs/prices.example.yaml is one to fill in")
    try:
        return Prices.model_validate(values)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise UsageError(f"{path}:\n" + "\n".join(wrong)) from None


def prices_of(storage: str | os.PathLike[str], given: str | None = None) -> Prices | None:
    """The table that was asked for, else `prices.yaml` in the storage, else none."""
    if given:
        return read_prices(given)
    path = Path(storage).expanduser() / NAME
    return read_prices(path) if path.exists() else None
