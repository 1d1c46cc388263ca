"""Reading YAML that anyone may have written: recipes, price tables, runtime environments; damage is one line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from raytrain.errors import UsageError
from raytrain.files import open_regular, size

MAX_BYTES = 2**18
MAX_DEPTH = 32
MAX_NUMBER = 64  # characters


def read_yaml(path: str | os.PathLike[str], what: str) -> Mapping[Any, Any]:
    """The mapping in a YAML file.

    Dates are texts, as in overrides. Aliases, which a small file can expand without end, are refused, and so are keys
    that are given twice.

    Args:
        path: of the file.
        what: the file should hold, for errors: "price table".

    Raises:
        UsageError: the file cannot be read, or holds no such mapping; in one line that names the place.
    """
    try:
        with open_regular(Path(path).expanduser()) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {size(MAX_BYTES)}")
        values = yaml.load(data.decode(), _Loader)
    except OSError as error:
        raise UsageError(f"{path} cannot be read as YAML: {error.strerror or error}") from None
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{place} cannot be read as YAML: {error.problem or error.context}") from None
    except (ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as YAML: {reason}") from None
    if not isinstance(values, Mapping):
        kind = "nothing" if values is None else type(values).__name__
        raise UsageError(f"{path} holds no {what}: {kind}, expected fields with values")
    return values


class _Loader(yaml.SafeLoader):
    """Plain values alone, in a tree of bounded depth."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"alias *{event.anchor}: write its value", problem_mark=event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"more than {MAX_DEPTH} levels deep", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if (name := (key.tag, str(key.value))) in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' is given twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> Any:
        if len(str(node.value)) > MAX_NUMBER:
            what = f"a number of {len(node.value):,} digits"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark)
        is_int = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
