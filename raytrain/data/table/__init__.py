"""The table: the one on-disk form of every data set."""

from raytrain.data.table.description import Feature
from raytrain.data.table.queries import QuerySplit
from raytrain.data.table.splits import AnySplit, open_split
from raytrain.data.table.table import Split, Table

__all__ = ["AnySplit", "Feature", "QuerySplit", "Split", "Table", "open_split"]
