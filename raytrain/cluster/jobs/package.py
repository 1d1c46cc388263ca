"""What a working directory would send to a cluster: the files that Ray takes, their size, and a hash of them all."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from raytrain.errors import UsageError
from raytrain.files import sha256

ALWAYS_LEFT = [".git", ".venv", "venv", "__pycache__", "*.egg-info", ".mypy_cache", ".pytest_cache", ".ruff_cache"]
"""Never sent, whether or not an ignore file names them."""
NAMED = 5  # largest files that an error lists


@dataclass(frozen=True)
class Package:
    """Files of a working directory.

    Args:
        root: the directory.
        sizes: {path relative to it: bytes}, by name.
    """

    root: Path
    sizes: dict[str, int]

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def digest(self) -> str:
        """64 hex digits over the names and contents, the same wherever and whenever the files were written."""
        told = [[name, sha256(self.root / name)] for name in self.sizes]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def refuse_above(self, megabytes: float) -> None:
        """Nothing where it is small enough.

        Raises:
            UsageError: it is not; the largest files are named.
        """
        if self.bytes <= megabytes * 1e6:
            return
        largest = sorted(self.sizes.items(), key=lambda one: (-one[1], one[0]))[:NAMED]
        named = "".join(f"\n  {size / 1e6:9.1f} MB  {name}" for name, size in largest)
        raise UsageError(
            f"{self.root} would send {self.bytes / 1e6:.1f} MB in {len(self.sizes)} files, more than {megabytes:g} MB. "
            f"Largest:{named}\nData belongs on storage that all nodes mount: name it in .rayignore, or raise --max-mb."
        )


def list_package(root: Path) -> Package:
    """The files that Ray would send, by its own rules: .gitignore and .rayignore of each folder, and ALWAYS_LEFT.

    Raises:
        UsageError: there is no such folder, or nothing in it would be sent.
    """
    from ray._private.runtime_env import packaging  # its rules have no public name

    root = root.expanduser().resolve()
    if not root.is_dir():
        raise UsageError(f"working directory {root} is no folder")
    found: dict[str, int] = {}
    quiet = logging.getLogger(__name__)  # its own tells of every ignore file

    def visit(folder: Path, left: list[Callable[[Path], bool]]) -> None:
        rules = [*left, *packaging.get_excludes_from_ignore_files(folder, include_gitignore=True, logger=quiet)]
        for path in sorted(folder.iterdir()):
            if any(rule(path) for rule in rules):
                continue
            if path.is_dir():
                visit(path, rules)
            elif path.is_file():
                found[path.relative_to(root).as_posix()] = path.stat().st_size

    visit(root, [packaging._get_excludes(root, ALWAYS_LEFT)])
    if not found:
        raise UsageError(f"working directory {root} holds no file that is not ignored")
    return Package(root, dict(sorted(found.items())))
