"""The files of a working directory that Ray would send to a cluster, their sizes, and one hash over all of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raytrain.cluster import compat
from raytrain.errors import UsageError
from raytrain.files import sha256

NEVER_SENT = [".git", ".venv", "venv", "__pycache__", "*.egg-info", ".mypy_cache", ".pytest_cache", ".ruff_cache"]
"""Whether or not an ignore file names them."""
LARGEST_NAMED = 5  # number of files that an error lists


@dataclass(frozen=True)
class Package:
    """Files of a working directory.

    Args:
        root: the directory.
        sizes: {path relative to it: bytes}, by name.
        loops: ignore patterns of links to a folder that holds them, which Ray would follow without an end.
    """

    root: Path
    sizes: dict[str, int]
    loops: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def digest(self) -> str:
        """64 hex digits over the names and contents, whatever machine and time they were written on."""
        contents = [[name, sha256(self.root / name)] for name in self.sizes]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def refuse_above(self, megabytes: float) -> None:
        """Refuse more than `megabytes` (of 10^6 bytes).

        Raises:
            UsageError: the files are larger; the largest ones are named.
        """
        if self.bytes <= megabytes * 1e6:
            return
        largest = sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))[:LARGEST_NAMED]
        named = "".join(f"\n  {size / 1e6:9.1f} MB  {name}" for name, size in largest)
        raise UsageError(
            f"{self.root} would send {self.bytes / 1e6:.1f} MB in {len(self.sizes)} files, more than {megabytes:g} MB. "
            f"Largest:{named}\nData belongs on storage that all nodes mount: name it in .rayignore, or raise --max-mb."
        )


def list_package(root: Path) -> Package:
    """The files that Ray would send, by its own rules: .gitignore and .rayignore of each folder, and NEVER_SENT.

    Links are followed, but not into a folder that holds them.

    Raises:
        UsageError: there is no such folder, or nothing in it would be sent.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        raise UsageError(f"working directory {root} is no folder")
    sizes: dict[str, int] = {}
    loops: list[str] = []

    def visit(folder: Path, outer_rules: Sequence[compat.Rule], holders: frozenset[Path]) -> None:
        rules = [*outer_rules, *compat.ignore_file_rules(folder)]
        for path in sorted(folder.iterdir()):
            if any(rule(path) for rule in rules):
                continue
            if path.is_symlink() and path.is_dir() and path.resolve() in holders:
                loops.append("/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", path.relative_to(root).as_posix()))
            elif path.is_dir():
                visit(path, rules, holders | {path.resolve()})
            elif path.is_file():
                sizes[path.relative_to(root).as_posix()] = path.stat().st_size

    visit(root, [compat.ignore_rule(root, NEVER_SENT)], frozenset({root, *root.parents}))
    if not sizes:
        raise UsageError(f"working directory {root} holds no file that is not ignored")
    return Package(root, dict(sorted(sizes.items())), tuple(loops))
