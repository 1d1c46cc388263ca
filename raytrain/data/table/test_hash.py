"""What the test split of a table holds, as one hash: tables that hold the same test have the same hash."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.table.table import Table


def hash_of_test(table: Table) -> str:
    """sha256 over the texts of the test split and its number of images, 64 hex digits.

    Neither names nor the order of rows nor other splits enter it, so that a table that was copied, renamed or built
    again with more training data opens the same test.
    """
    in_test = pc.equal(table.items["split"], "test")
    texts = table.texts["text"].filter(in_test.take(pa.array(table.texts["item"].to_numpy())))
    digest = hashlib.sha256(str(pc.sum(in_test).as_py() or 0).encode())
    for text in sorted(texts.to_pylist()):
        digest.update(b"\0" + text.encode())
    return digest.hexdigest()
