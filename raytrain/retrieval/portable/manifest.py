"""manifest.json of a portable model: the sha256 of each of its files, so that damage is seen before it is read."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from raytrain.errors import DataError, Problem
from raytrain.files import read_model, sha256, sync, write_json
from raytrain.retrieval.portable.description import FIX

NAME = "manifest.json"


class Manifest(BaseModel):
    """The content of manifest.json.

    Args:
        files: {path in the folder: sha256}.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or path.as_posix() != name:
                raise ValueError(f"{name!r:.80} is no path inside the folder")
        return files


def write_manifest(folder: Path) -> None:
    """Record every file that is in the folder now, all of them synced to the disk first."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME):
        sync(path)
        files[path.relative_to(folder).as_posix()] = sha256(path)
    write_json(folder / NAME, {"files": files})


def verify_files(folder: Path) -> Manifest:
    """The manifest of a folder whose files are those that were written.

    Files beside them are left alone, except in a sub-folder that has files of the manifest: other libraries read those
    folders, and would read what was put there.

    Raises:
        DataError: a file is missing, damaged, or in a sub-folder without being listed; all of them at once.
    """
    try:
        manifest = read_model(folder / NAME, Manifest, FIX)
    except FileNotFoundError:
        raise DataError(Problem(str(folder / NAME), None, "missing", FIX)) from None
    problems = []
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            what = "" if sha256(path) == expected else "damaged (sha256 differs)"
        except OSError as error:
            what = f"not readable: {os.strerror(error.errno or 0)}"
        if what:
            problems.append(Problem(str(path), None, what, FIX))
    tops = {PurePosixPath(name).parts[0] for name in manifest.files if "/" in name}
    for path in sorted(path for top in tops for path in (folder / top).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in manifest.files:
            problems.append(Problem(str(path), None, f"{NAME} names no such file", "Remove it."))
    if problems:
        raise DataError(problems)
    return manifest
