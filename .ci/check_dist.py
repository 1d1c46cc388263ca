"""Check what `make dist` built: the wheel and the sdist hold the product, all of it and nothing else.

python .ci/check_dist.py dist
"""

from __future__ import annotations

import email
import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEVER = ("tests", "results", "benchmarks", "docs", "jobs", "examples")
"""Folders of the repository that neither holds."""


def main() -> int:
    folder = Path(sys.argv[1])
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        print(f"{folder} holds {len(wheels)} wheels and {len(sdists)} sdists, and not one of each", file=sys.stderr)
        return 1
    problems = [*problems_of_wheel(wheels[0]), *problems_of_sdist(sdists[0])]
    for problem in problems:
        print(problem, file=sys.stderr)
    for path in (*wheels, *sdists):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    return 1 if problems else 0


def expected_files(root: Path = ROOT) -> set[str]:
    """Paths in the wheel of all that raytrain/ and search_spaces/ hold: modules, templates, recipes, py.typed."""
    paths = [path for name in ("raytrain", "search_spaces") for path in (root / name).rglob("*") if path.is_file()]
    names = {path.relative_to(root).as_posix() for path in paths if "__pycache__" not in path.parts}
    return {f"raytrain/{name}" if name.startswith("search_spaces/") else name for name in names}


def problems_of_wheel(path: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with a wheel, a line each; [] where nothing is."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        metadata = archive.read(f"{info}/METADATA").decode()
        top = archive.read(f"{info}/top_level.txt").decode().split()
    own, expected = {name for name in names if not name.startswith(info)}, expected_files(root)
    problems = [f"{path.name} lacks {name}" for name in sorted(expected - own)]
    problems += [f"{path.name} holds {name}, which is no part of the product" for name in sorted(own - expected)]
    if top != ["raytrain"]:
        problems.append(f"{path.name} takes the import names {', '.join(top)}, and not raytrain alone")
    if f"{info}/licenses/LICENSE" not in names:
        problems.append(f"{path.name} lacks the licence")
    return problems + [f"{path.name}: {problem}" for problem in problems_of_metadata(metadata, root)]


def problems_of_metadata(text: str, root: Path = ROOT) -> list[str]:
    """What METADATA says otherwise than pyproject.toml and raytrain/__init__.py."""
    stated = email.message_from_string(text)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    init = (root / "raytrain" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.+)"$', init, re.M)
    wanted = {
        "Name": project["name"],
        "Version": version[1] if version else None,
        "Summary": project["description"],
        "Requires-Python": project["requires-python"],
        "License-Expression": project["license"],
        "Description-Content-Type": "text/markdown",
    }
    problems = [f"{name} is {stated[name]}, and not {value}" for name, value in wanted.items() if stated[name] != value]
    extras = {re.sub("[-_.]+", "-", extra) for extra in project["optional-dependencies"]}
    if absent := extras - set(stated.get_all("Provides-Extra") or []):
        problems.append(f"no extra {', '.join(sorted(absent))}")
    pins = [line for line in stated.get_all("Requires-Dist") or [] if line.startswith("torch==")]
    return problems + ([] if len(pins) == 1 else ["torch is not pinned once"])


def problems_of_sdist(path: Path, root: Path = ROOT) -> list[str]:
    """What is wrong with an sdist: it lacks what a wheel is built from, or holds more."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {name.removeprefix("raytrain/") if name.startswith("raytrain/search_spaces/") else name
               for name in expected_files(root)}  # fmt: skip
    needed = {*sources, "pyproject.toml", "setup.py", "README.md", "LICENSE", "constraints.txt"}
    problems = [f"{path.name} lacks {name}" for name in sorted(needed - names)]
    more = sorted(name for name in names if name.partition("/")[0] in NEVER)
    return problems + [f"{path.name} holds {name}, which is no part of the product" for name in more]


if __name__ == "__main__":
    sys.exit(main())
