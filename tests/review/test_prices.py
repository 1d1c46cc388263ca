"""Price tables: which price a device has, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytrain.errors import UsageError
from raytrain.review.prices import prices_of, read_prices
from tests.review.made_sweeps import PRICES

ROOT = Path(__file__).resolve().parents[2]


def test_the_longest_name_that_is_part_of_the_devices_counts() -> None:
    assert PRICES.of_gpu("NVIDIA A100-SXM4-80GB") == 7.2
    assert PRICES.of_gpu("nvidia a100-pcie-40gb") == 3.6
    assert PRICES.of_gpu("NVIDIA H100") is None


def test_the_table_that_was_asked_for_goes_before_the_storages_own(tmp_path: Path) -> None:
    for name, hour in (("prices.yaml", 1.0), ("other.yaml", 2.0)):
        (tmp_path / name).write_text(f"currency: EUR\ndate: 2026-11-01\ncpu_hour: {hour}\n")
    own, other = prices_of(tmp_path), prices_of(tmp_path, str(tmp_path / "other.yaml"))
    assert own is not None and own.cpu_hour == 1.0
    assert other is not None and other.cpu_hour == 2.0
    with pytest.raises(UsageError, match=r"missing\.yaml cannot be read"):
        prices_of(tmp_path, str(tmp_path / "missing.yaml"))


def test_the_example_table_holds_no_price() -> None:
    example = read_prices(ROOT / "docs" / "prices.example.yaml")
    assert example.cpu_hour is None and set(example.gpu_hour.values()) == {None}
    assert example.of_gpu("NVIDIA H100 80GB HBM3") is None


def test_a_wrong_table_names_its_file_and_every_wrong_field(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("currency: EUR\ncpu_hour: -1\ngpu_hours: {}\n")
    with pytest.raises(UsageError, match=r"(?s)prices.yaml.*cpu_hour.*gpu_hours|prices.yaml.*date.*cpu_hour") as error:
        prices_of(tmp_path)
    assert error.value.exit_code == 2
    for field in ("date", "cpu_hour", "gpu_hours"):
        assert field in str(error.value)
    path.write_text("just words")
    with pytest.raises(UsageError, match="holds no price table"):
        read_prices(path)
    assert prices_of(tmp_path / "elsewhere") is None
