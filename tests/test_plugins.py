"""A registry has raytrain's names and those of installed packages, and one bad package spoils nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from raytrain import plugins
from raytrain.plugins import Lazy, Package, PluginWarning, Registry
from tests.packages import write_package

GROUP = "raytrain.test_numbers"


def check(name: str, item: Any) -> None:
    if not isinstance(item, int):
        raise ValueError(f"{item!r} is no number")


def registry() -> Registry[int]:
    return Registry(GROUP, "number", lambda: {"one": 1, "two": 2}, check)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def add(site: Path, name: str, entries: dict[str, str], source: str = "", version: str = "0.1") -> None:
    write_package(site, name, version, {GROUP: entries}, source)


def test_names_of_packages_come_after_raytrains_own(site: Path) -> None:
    add(site, "rt-numbers-a", {"three": "rt_numbers_a:three", "four": "rt_numbers_a:four"}, "three, four = 3, 4")
    numbers = registry()
    assert dict(numbers) == {"one": 1, "two": 2, "four": 4, "three": 3}
    assert list(numbers)[:2] == ["one", "two"]
    assert len(numbers) == 4
    assert "three" in numbers and "five" not in numbers
    assert numbers.package_of("three") == Package("rt-numbers-a", "0.1")
    assert str(numbers.package_of("three")) == "rt-numbers-a 0.1"
    assert numbers.package_of("one") is None and numbers.package_of("five") is None


def test_raytrains_own_names_are_found_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**given: object) -> None:
        raise AssertionError("installed packages were searched")

    monkeypatch.setattr(plugins, "entry_points", refuse)
    numbers = registry()
    assert numbers["one"] == 1 and "two" in numbers and numbers.package_of("one") is None
    with pytest.raises(AssertionError, match="were searched"):
        list(numbers)


def test_a_package_that_cannot_be_imported_is_named_once_and_left_out(site: Path) -> None:
    add(site, "rt-numbers-b", {"five": "rt_numbers_b:five"}, "import no_such_library")
    add(site, "rt-numbers-c", {"six": "rt_numbers_c:six"}, "six = 6")
    numbers = registry()
    with pytest.warns(PluginWarning, match=r"number 'five' of the package rt-numbers-b 0\.1 is left out") as caught:
        assert list(numbers) == ["one", "two", "six"]
    assert len(caught) == 1
    assert "ModuleNotFoundError: No module named 'no_such_library'" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(numbers) == ["one", "two", "six"]
        assert numbers.get("five") is None
        assert "rt-numbers-b 0.1 is left out" in (numbers.why_absent("five") or "")


@pytest.mark.parametrize("source", ["five = 1 / 0", "raise SystemError('x')", "five = 'text'", ""])
def test_whatever_a_package_does_wrong_the_others_are_there(site: Path, source: str) -> None:
    add(site, "rt-numbers-d", {"five": "rt_numbers_d:five"}, source)
    with pytest.warns(PluginWarning, match="rt-numbers-d"):
        assert dict(registry()) == {"one": 1, "two": 2}


def test_a_name_that_raytrain_has_stays_raytrains(site: Path) -> None:
    add(site, "rt-numbers-e", {"two": "rt_numbers_e:two"}, "two = 22")
    numbers = registry()
    with pytest.warns(PluginWarning, match=r"rt-numbers-e 0\.1 is left out: raytrain has a number of that name"):
        assert dict(numbers) == {"one": 1, "two": 2}
    assert numbers.package_of("two") is None


def test_of_two_packages_with_one_name_the_first_by_name_has_it(site: Path) -> None:
    add(site, "rt-numbers-g", {"three": "rt_numbers_g:three"}, "three = 33")
    add(site, "rt-numbers-f", {"three": "rt_numbers_f:three"}, "three = 3", version="2.0")
    numbers = registry()
    with pytest.warns(
        PluginWarning, match=r"rt-numbers-g 0\.1 is left out: the package rt-numbers-f 2\.0 has a number"
    ):
        assert numbers["three"] == 3


@pytest.mark.parametrize("name", ["a/b", "two towers", "9", "a.b"])
def test_a_name_that_would_break_runs_and_overrides_is_left_out(site: Path, name: str) -> None:
    add(site, "rt-numbers-h", {name: "rt_numbers_h:x"}, "x = 1")
    with pytest.warns(PluginWarning, match="letters, digits and _"):
        assert name not in registry()


def test_a_process_may_set_names_itself_and_take_them_back() -> None:
    numbers = registry()
    numbers["nine"] = 9
    assert numbers["nine"] == 9 and "nine" in numbers and list(numbers)[-1] == "nine"
    assert numbers.package_of("nine") is None
    with pytest.raises(ValueError, match="'x' is no number"):
        numbers["ten"] = "x"  # type: ignore[assignment]
    del numbers["nine"]
    assert "nine" not in numbers
    with pytest.raises(KeyError):
        del numbers["one"]


def test_what_is_installed_later_is_seen_after_a_refresh(site: Path) -> None:
    numbers = registry()
    assert "three" not in numbers
    add(site, "rt-numbers-i", {"three": "rt_numbers_i:three"}, "three = 3")
    assert "three" not in numbers
    numbers.refresh()
    assert numbers["three"] == 3


def test_an_absent_name_is_explained_by_what_its_file_recorded(site: Path) -> None:
    numbers = registry()
    assert numbers.why_absent("seven", "rt-numbers-z==1.2") == (
        "number 'seven' comes from the package rt-numbers-z 1.2, which is not installed: pip install rt-numbers-z"
    )
    add(site, "rt-numbers-j", {}, version="3.0")
    assert numbers.why_absent("seven", "rt-numbers-j==1.2") == (
        "number 'seven' comes from the package rt-numbers-j 1.2; rt-numbers-j 3.0 has no such name"
    )


@pytest.mark.parametrize("recorded", [None, 3, "", "x", "x; rm -rf ~==1", "--index-url=y==1", "x==1 && y", "x\ny==1"])
def test_what_no_package_is_called_is_not_repeated_to_the_user(recorded: object) -> None:
    assert registry().why_absent("seven", recorded) is None


def test_a_lazy_mapping_loads_what_is_asked_for_and_nothing_else() -> None:
    loaded = []
    names = ["a", "b"]
    lazy = Lazy(names, lambda name: loaded.append(name) or name.upper())
    assert list(lazy) == ["a", "b"] and len(lazy) == 2 and "b" in lazy and loaded == []
    assert lazy["b"] == "B" and loaded == ["b"]
    with pytest.raises(KeyError):
        lazy["c"]
    assert loaded == ["b"]
