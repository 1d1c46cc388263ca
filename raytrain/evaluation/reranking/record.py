"""rerank.json and rerank.inductive.json of a run: the temperatures that a search chose, and all that it tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

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
        try:
            Temperatures.from_dict(params)
        except TypeError as error:  # a name that it does not have, or text for a number
            raise ValueError(str(error)) from None
        return params

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
