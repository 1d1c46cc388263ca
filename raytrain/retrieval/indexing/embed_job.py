"""The job that embeds rows of a table, as `data encode` runs jobs: in this process, or over Ray Data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raytrain.data.encode.jobs import Done, Work
from raytrain.data.load.readers import Batch
from raytrain.retrieval.load import load
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.scores import Kind


@dataclass
class EmbedJob:
    """Embeds images or texts of a table with a run's model.

    Args:
        run: folder of the run or of the export.
        table: folder of the table.
        moved_to: where the run's own table is now; None where it has not moved.
        of: which rows.
        device: of the model.
        retriever: that is open already in this process; another process opens its own.
    """

    run: str
    table: str
    moved_to: str | None
    of: Kind
    device: str
    retriever: Retriever | None = field(default=None, repr=False)

    def open(self) -> None:
        if self.retriever is None:
            self.retriever = load(self.run, self.device, self.moved_to)
        self.rows = self.retriever.table_rows(self.table)

    def prepare(self, work: Work) -> Batch:
        return self.rows.texts(work.rows) if self.of == "texts" else self.rows.regions(work.rows)

    def encode(self, work: Work, prepared: Any) -> Done:
        assert self.retriever is not None
        features: np.ndarray = self.retriever.embed_batch(prepared, self.of).cpu().numpy()
        return Done(work.rows, features)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"retriever": None}
