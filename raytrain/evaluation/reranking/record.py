"""rerank.json and rerank.inductive.json of a run: the temperatures that a search chose, and all that it tried."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator

from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.files import read_model, write_json

NAME, BANK_NAME = "rerank.json", "rerank.inductive.json"
"""Of a search that normalises over the queries themselves, and of one over a bank of training queries."""


class RerankRecord(BaseModel):
    """What `raytrain rerank` found on validation. Fields that a newer version has added are kept.

    Args:
        params: the chosen temperatures, as `Temperatures.as_dict` gives them.
        before, after: rsum without and with re-ranking.
        settings_tried: distinct settings of both directions.
        seconds: of the search.
        split, protocol: what was searched on.
        fingerprint: of the table.
        checkpoint: folder name of the checkpoint whose scores were searched.
        seed, commit: of the run; None where its journal does not say.
        transductive: whether the chosen ranking of a query depends on the other queries; None in files of before
            there were banks, where it always does.
        trials: settings that TPE drew in each direction.
        search_seed: of the sampler, and of the bank's draw.
        bank_sizes: numbers of training queries that were tried as a bank.
        poolings: {pooling of a method's view scores: rsum with its best temperatures}.
        before_metrics, after_metrics: all metrics without and with re-ranking.
        tried: {direction: [[mode, scale, sum of its recalls, bank size where there is one], ...]}.
        held_out: {"i2t", "t2i", "rsum": recalls of held-out queries without and with what the other folds chose, as
            `temperature_search.choice.HeldOut.as_dict`}; {} in files of before there was cross-validation.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    params: dict[str, Any]
    before: float
    after: float
    settings_tried: int
    seconds: float
    split: str
    fingerprint: str
    checkpoint: str
    seed: int | None
    commit: str | None
    protocol: str
    transductive: bool | None = None
    trials: int
    search_seed: int
    bank_sizes: list[int] = []
    poolings: dict[str, float] = {}
    before_metrics: dict[str, float]
    after_metrics: dict[str, float]
    tried: dict[str, list[list[Any]]]
    held_out: dict[str, dict[str, float | int | None]] = {}

    @field_validator("params")
    @classmethod
    def _are_temperatures(cls, params: dict[str, Any]) -> dict[str, Any]:
        checked_temperatures(params)
        return params

    @field_validator("tried")
    @classmethod
    def _are_settings(cls, tried: dict[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
        for settings in tried.values():
            for setting in settings:
                mode, *numbers = setting or [None]
                if not isinstance(mode, str) or len(numbers) < 2 or not all(_is_number(value) for value in numbers):
                    raise ValueError(f"{setting!r:.60} is no [mode, scale, sum of recalls]")
        return tried

    @property
    def temperatures(self) -> Temperatures:
        """The chosen ones."""
        return Temperatures.from_dict(self.params)

    @classmethod
    def read(cls, path: Path) -> RerankRecord:
        """The record in a file.

        Raises:
            FileNotFoundError: nothing was searched.
            DataError: the file is damaged; each problem names the field.
        """
        return read_model(path, cls, "Search again with `raytrain rerank`.")

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        write_json(path, self.model_dump(exclude_unset=True))


def checked_temperatures(values: Mapping[str, Any]) -> Temperatures:
    """The temperatures of plain values.

    Raises:
        ValueError: a name that they do not have, or a value of another type or out of bounds.
    """
    try:
        temperatures = Temperatures.from_dict(values)
        _type().validate_json(json.dumps(values), strict=True)  # strict, and yet from names to values
    except TypeError as error:
        raise ValueError(str(error)) from None
    return temperatures


@cache
def _type() -> TypeAdapter[Temperatures]:
    return TypeAdapter(Temperatures)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
