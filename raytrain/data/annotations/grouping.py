"""The table that records make; shared by the sources of images and captions.

A source turns its files into `Record`s. `write_records` groups them by image, collects all problems, draws splits where
none are stated, copies images from archives into the table, and writes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from raytrain.data.annotations.items import check_image_root, to_arrow
from raytrain.data.annotations.record_groups import RecordGroups
from raytrain.data.annotations.records import Record, Shares
from raytrain.data.problems import Problems
from raytrain.data.storage import Root
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError


def write_records(
    out: str | os.PathLike[str],
    source: Mapping[str, Any],
    records: Iterable[Record],
    shares: Shares,
    problems: Problems,
    image_root: Root | None,
    bad_rows: Problems | None = None,
) -> Table:
    """Writes the table of all records.

    Args:
        out: folder of the new table.
        source: name and options of the source, for table.json.
        records: iterated once.
        shares: of the images to draw for splits, and that may be missing.
        problems: of reading the records; nothing is written if there is any.
        image_root: what the records' files are relative to; None if every record contains its image, which is then
            copied into the table.
        bad_rows: receives the rows that cannot be read, while `records` is iterated; a share of them may be allowed.

    Raises:
        DataError: all problems at once; nothing is left behind.
        UsageError: a split to draw is stated by records already.
    """
    if image_root is not None:
        check_image_root(image_root)
    with TableWriter(out, source, image_root="images" if image_root is None else image_root) as writer:
        groups = RecordGroups(problems, image_root, writer.path / "images", shares.allow_missing, bad_rows)
        try:
            for record in records:
                groups.add(record)
        except DataError as error:
            problems.extend(error.problems)
        writer.source |= groups.finish(shares)
        writer.missing = groups.missing
        writer.write(*to_arrow(groups.items))
    return Table(out)
