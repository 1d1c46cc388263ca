"""Methods, spaces, recipes, studies and sources of other installed packages, beside raytrain's own (docs/plugins.md).

A package declares them as entry points. A name is looked up among what is installed; what a run's files say is compared
with names and never imported.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Any, TypeVar

T = TypeVar("T")

_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([A-Za-z0-9.!+_-]+)")


class PluginWarning(UserWarning):
    """A name that a package adds is left out, and why."""


@dataclass(frozen=True)
class Package:
    """An installed package."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def requirement(self) -> str:
        """As pip takes it and as files record it: "raytrain-two-towers==0.1"."""
        return f"{self.name}=={self.version}"


class Lazy(Mapping[str, T]):
    """{name: load(name)}; an item is loaded whenever it is asked for.

    Args:
        names: what there is; may grow.
        load: takes one of them.
    """

    def __init__(self, names: Collection[str], load: Callable[[str], T]) -> None:
        self._names, self._load = names, load

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._load(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Registry(MutableMapping[str, T]):
    """{name: item} of raytrain's own, of installed packages, and of what this process sets itself.

    Packages are searched once, when all names are asked for or one that raytrain does not have. What cannot be loaded,
    is of the wrong kind or has a name that is taken is left out with one PluginWarning, which names its package.

    Args:
        group: of the entry points, such as "raytrain.methods".
        noun: what an item is called in messages, such as "method".
        own: gives raytrain's, when the first name is asked for.
        check: takes a name and its item; raises ValueError where the item is none.
    """

    def __init__(
        self, group: str, noun: str, own: Callable[[], Mapping[str, T]], check: Callable[[str, Any], None]
    ) -> None:
        self.group, self.noun = group, noun
        self._find_own, self._check = own, check
        self._set: dict[str, T] = {}
        self._added: dict[str, tuple[T, Package]] | None = None
        self._left_out: dict[str, str] = {}

    def __getitem__(self, name: str) -> T:
        if name in self._set:
            return self._set[name]
        if name in self._own:
            return self._own[name]
        return self._packages()[name][0]

    def __contains__(self, name: object) -> bool:
        return name in self._set or name in self._own or name in self._packages()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._own, *self._packages(), *self._set]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __setitem__(self, name: str, item: T) -> None:
        self._check(name, item)
        self._set[name] = item

    def __delitem__(self, name: str) -> None:
        del self._set[name]

    @functools.cached_property
    def _own(self) -> Mapping[str, T]:
        return self._find_own()

    def package_of(self, name: str) -> Package | None:
        """The package that adds a name; None of raytrain's own and of what this process set."""
        if name in self._set or name in self._own or name not in self._packages():
            return None
        return self._packages()[name][1]

    def refresh(self) -> None:
        """Search the packages again: something was installed while this process, a notebook, ran."""
        self._added = None

    def why_absent(self, name: str, recorded: object = None) -> str | None:
        """What to say of a name that is not here; None where nothing is known of it.

        Args:
            recorded: what a run's file says of the package that brought it, "name==version".
        """
        if name not in self and name in self._left_out:
            return self._left_out[name]
        stated = _REQUIREMENT.fullmatch(recorded) if isinstance(recorded, str) else None
        if stated is None:
            return None
        package, was = stated.groups()
        try:
            installed = version(package)
        except PackageNotFoundError:
            return (
                f"{self.noun} '{name}' comes from the package {package} {was}, which is not installed: "
                f"pip install {package}"
            )
        return f"{self.noun} '{name}' comes from the package {package} {was}; {package} {installed} has no such name"

    def _packages(self) -> dict[str, tuple[T, Package]]:
        """{name: (item, its package)}."""
        if self._added is not None:
            return self._added
        self._added, self._left_out = {}, {}
        entries = [(entry.dist, entry) for entry in entry_points(group=self.group) if entry.dist is not None]
        for distribution, entry in sorted(entries, key=lambda pair: (pair[0].name, pair[1].name)):
            name, package = entry.name, Package(distribution.name, distribution.version)
            try:
                if not name.isidentifier():
                    raise ValueError("a name is made of letters, digits and _")
                if name in self._own:
                    raise ValueError(f"raytrain has a {self.noun} of that name")
                if name in self._added:
                    raise ValueError(f"the package {self._added[name][1]} has a {self.noun} of that name")
                item = entry.load()
                self._check(name, item)
            except Exception as error:  # whatever the package's own code raises: the others are still there
                reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
                self._left_out[name] = f"{self.noun} '{name}' of the package {package} is left out: {reason}"
                warnings.warn(self._left_out[name], PluginWarning, stacklevel=2)
            else:
                self._added[name] = (item, package)
        return self._added
