"""study.json: what a study in a storage asks, from which recipe, and which of its runs has which number."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from raytrain.config import RunConfig, validate
from raytrain.errors import UsageError, no_such_name
from raytrain.files import plain_name, read_model, write_json
from raytrain.studies.plan import PlannedRun

NAME = "study.json"
FIX = "Restore the file, or run the study under another name: it takes the runs that the storage has."


class NumberedRun(BaseModel):
    """A run that the study trains itself.

    Args:
        number: of the trial; its run is named `<study>-t<number>`.
        identity: of the run.
        changes: of the recipe.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    number: Annotated[int, Field(ge=0, lt=2**31)]
    identity: str
    changes: dict[str, Any]


class StudyRecord(BaseModel):
    """What is known of a study before anything is trained.

    Args:
        study: its name.
        recipe: as it was given.
        base: the recipe's run with all overrides, as plain values.
        seeds: the most that were asked for.
        runs: that the study trains itself; only ever appended to.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    study: str
    recipe: str
    base: dict[str, Any]
    seeds: Annotated[int, Field(ge=1)]
    runs: list[NumberedRun] = []

    @classmethod
    def read(cls, folder: Path) -> StudyRecord:
        """The record in a folder.

        Raises:
            FileNotFoundError: there is none.
            DataError: the file is damaged.
        """
        return read_model(folder / NAME, cls, FIX)

    def write(self, folder: Path) -> None:
        """Write study.json into `folder`, atomically."""
        write_json(folder / NAME, self.model_dump())

    def with_runs(self, planned: Sequence[PlannedRun]) -> StudyRecord:
        """The record with a number for each of these runs that has none."""
        numbered = {run.identity for run in self.runs}
        new = [run for run in planned if run.identity not in numbered]
        first = max((run.number for run in self.runs), default=-1) + 1
        added = [
            NumberedRun(number=first + place, identity=run.identity, changes=dict(run.changes))
            for place, run in enumerate(new)
        ]
        return self.with_values(runs=[*self.runs, *added])

    def with_values(self, **values: Any) -> StudyRecord:
        """A checked copy with other values."""
        return StudyRecord.model_validate({**dict(self), **values})

    def recipe_run(self, folder: Path) -> RunConfig:
        """The recipe's run, in the storage where the folder lies now."""
        return validate({**self.base, "storage": str(folder.parent.parent), "name": folder.name})


def study_folders(storage: str | os.PathLike[str], study: str) -> list[Path]:
    """Folders of a storage that hold this study, from whatever recipes; or the one folder that is named so."""
    files = sorted(Path(storage).expanduser().resolve().glob(f"*/*/{NAME}"))
    by_name = {path.parent: StudyRecord.read(path.parent).study for path in files}
    folders = [folder for folder, name in by_name.items() if study in (name, folder.name)]
    if not folders:
        names = sorted({*by_name.values()})
        raise UsageError(f"{Path(storage).expanduser().resolve()}: {no_such_name('study', study, names)}")
    return folders


def study_name(study: str, recipe: str) -> str:
    """The name of a study's folder where the user gives none: "study-dvse-views-dvse_flickr8k"."""
    stem = plain_name(recipe).removesuffix(".yaml").removesuffix(".yml")
    return f"study-{study.replace('/', '-')}-{stem}"
