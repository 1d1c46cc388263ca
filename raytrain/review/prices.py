"""The price table: prices per hour of accelerators and of a CPU, written by the user; no prices are built in."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from raytrain.config.parts import Part
from raytrain.config.yaml_files import read_yaml
from raytrain.errors import UsageError

NAME = "prices.yaml"
Price = Annotated[float, Field(ge=0)]


class Prices(Part):
    """Prices per hour, in one currency, as of a date.

    Args:
        currency: as it should be shown, such as EUR.
        date: of the prices.
        gpu_hour: of one GPU with its share of the node, by part of the device's name; None where it is not known.
        cpu_hour: of one CPU of a worker without GPU; None where it is not known.
    """

    currency: str = Field(min_length=1)
    date: datetime.date
    gpu_hour: Mapping[str, Price | None] = Field(default_factory=dict)
    cpu_hour: Price | None = None

    def of_gpu(self, device: str) -> float | None:
        """Price by the longest name that is part of the device's, in any case: "A100" also stands for A100-SXM4."""
        names = [name for name in self.gpu_hour if name.lower() in device.lower()]
        return self.gpu_hour[max(names, key=len)] if names else None


def read_prices(path: str | os.PathLike[str]) -> Prices:
    """The price table of a YAML file.

    Raises:
        UsageError: the file cannot be read, or fields are wrong; the message names all of them.
    """
    try:
        return Prices.model_validate(read_yaml(path, "price table"))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        what = "; ".join(wrong)
        raise UsageError(f"{path}: {what}; docs/prices.example.yaml is one to fill in") from None


def prices_of(storage: str | os.PathLike[str], given: str | None = None) -> Prices | None:
    """The price table of the file `given`, else of `prices.yaml` in the storage; None without either."""
    if given:
        return read_prices(given)
    path = Path(storage).expanduser() / NAME
    return read_prices(path) if path.exists() else None
