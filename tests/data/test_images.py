"""Decoding of untrusted images: formats, limits and padding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from raytrain.data.images import check_header, decode, target_pad
from raytrain.errors import DataError
from tests.data.own import picture
from tests.data.pictures import write_image

Image = pytest.importorskip("PIL.Image", reason="Pillow (extra `encode`) decodes images")


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_allowed_formats_open_by_content_whatever_their_name(tmp_path: Path, ending: str) -> None:
    write_image(tmp_path / f"a.{ending}")
    (tmp_path / f"a.{ending}").rename(tmp_path / "a.dat")
    assert (decode(tmp_path / "a.dat").mode, decode(tmp_path / "a.dat").size) == ("RGB", (40, 32))


@pytest.mark.parametrize("ending", ["gif", "bmp", "tiff"])
def test_other_formats_are_refused(tmp_path: Path, ending: str) -> None:
    write_image(tmp_path / f"a.{ending}")
    (tmp_path / f"a.{ending}").rename(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="not a JPEG, PNG or WEBP"):
        decode(tmp_path / "a.jpg")


def test_an_image_of_too_many_pixels_is_refused_without_a_warning_of_pillow(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "a.png")
    script = "import sys; from raytrain.data.images import check_header; check_header(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.png"], capture_output=True, text=True, check=False
    )
    assert "10000 x 10000 pixels, at most 64,000,000 allowed" in done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_truncated_image_is_found(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    write_image(path, size=(200, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="truncated or broken") as caught:
        decode(path)
    assert caught.value.problems[0].file == str(path)


def test_empty_absent_and_textual_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    for name in ("empty.jpg", "text.jpg", "absent.jpg"):
        with pytest.raises(DataError) as caught:
            decode(tmp_path / name)
        assert caught.value.problems[0].file == str(tmp_path / name)


def test_the_pixel_limit_holds_before_any_pixel_is_decoded(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", size=(40, 32))
    path = tmp_path / "a.png"
    path.write_bytes(path.read_bytes()[:60])  # nothing but the header is left: decoding would say "truncated"
    with pytest.raises(DataError, match="40 x 32 pixels, at most 1,000"):
        decode(path, max_pixels=1000)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[255, 0, 0, 0], [255, 0, 0, 255]]], np.uint8), "RGBA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.array(decode(tmp_path / "a.png")), [[[255, 255, 255], [255, 0, 0]]])


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new(mode, (8, 8)).save(path)
    assert decode(path).mode == "RGB"


def test_grey_of_16_bits_keeps_its_upper_8(tmp_path: Path) -> None:
    """Half of the range is half of the range, not white."""
    values = np.array([[0, 255, 256, 32767, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    decoded = np.array(decode(tmp_path / "a.png"))
    np.testing.assert_array_equal(decoded, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_a_transparent_grey_of_16_bits_is_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[300, 600]], np.uint16)).save(tmp_path / "a.png", transparency=300)
    assert np.array(decode(tmp_path / "a.png"))[0, :, 0].tolist() == [255, 2]


def test_a_turned_photo_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (40, 32)).save(tmp_path / "a.jpg", exif=exif)
    assert decode(tmp_path / "a.jpg").size == (32, 40)


def test_a_long_image_gets_bars_until_its_sides_are_in_the_ratio() -> None:
    tall = Image.new("RGB", (40, 100), "white")
    padded = target_pad(tall, 1.25)
    assert padded.size == (80, 100)
    columns = np.array(padded)[50, :, 0]
    assert columns.tolist() == [0] * 20 + [255] * 40 + [0] * 20
    assert target_pad(tall.transpose(Image.Transpose.ROTATE_90), 1.25).size == (100, 80)
    assert target_pad(Image.new("RGB", (80, 100)), 1.25).size == (80, 100)
    assert target_pad(tall, 2.5) is tall


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_a_header_alone_tells_the_format_of_a_file_or_of_bytes(kind: str, suffix: str, tmp_path: Path) -> None:
    data = picture(0, kind)
    (tmp_path / "any.name").write_bytes(data)
    assert check_header(data) == check_header(tmp_path / "any.name") == suffix
    assert check_header(data, max_pixels=30) == suffix
    with pytest.raises(DataError, match=r"x: 6 x 5 pixels, at most 29 allowed"):
        check_header(data, "x", max_pixels=29)


def test_no_other_format_passes_by_its_header(tmp_path: Path) -> None:
    for kind in ("GIF", "BMP", "TIFF"):
        with pytest.raises(DataError, match="x: not a JPEG, PNG or WEBP image"):
            check_header(picture(0, kind), "x")
    with pytest.raises(DataError, match="not found"):
        check_header(tmp_path / "absent.jpg")
