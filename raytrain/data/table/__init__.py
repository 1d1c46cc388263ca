"""Tables: the on-disk format that every data set is converted to."""

from raytrain.data.table.description import Feature
from raytrain.data.table.queries import QuerySplit
from raytrain.data.table.splits import AnySplit, open_split
from raytrain.data.table.table import Split, Table

__all__ = ["AnySplit", "Feature", "QuerySplit", "Split", "Table", "open_split"]
