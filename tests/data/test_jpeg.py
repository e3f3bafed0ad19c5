"""PNGs become the JPEGs that ImageMagick would make of them, and none is lost on the way."""

import os
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mono2many.datasets.kitti.jpeg import TOLERANCE, convert_pngs, shows
from mono2many.types import InputError

IMAGEMAGICK = ("/usr/bin/convert", "/usr/bin/convert-im6.q16", "/usr/bin/magick")


def draw(height: int = 75, width: int = 121, seed: int = 0) -> np.ndarray:
    """A sky that darkens, a coloured wall of bricks, some noise."""
    y, x = np.mgrid[:height, :width]
    sky = np.stack([200 - y, 220 - y, 250 - y // 2], -1)
    bricks = np.stack([150 + 60 * ((x // 9 + y // 5) % 2), 60 + x // 2, 40 + 0 * x], -1)
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 1))
    return np.clip(np.where((y < height // 2)[..., None], sky, bricks) + noise, 0, 255).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_tables_and_sampling_are_those_of_imagemagick(tmp_path: Path) -> None:
    program = next((path for path in IMAGEMAGICK if Path(path).exists()), None)
    if program is None and "MONO2MANY_CI" not in os.environ:
        pytest.skip("ImageMagick is not installed: apt-get install imagemagick")
    assert program, "ImageMagick is not installed, and here it must be"
    png = write_png(tmp_path / "a.png", draw())
    theirs = tmp_path / "theirs.jpg"
    flags = ("-quality", "92", "-sampling-factor", "2x2,1x1,1x1")
    subprocess.run([program, *flags, str(png), str(theirs)], check=True, capture_output=True)
    convert_pngs([tmp_path], workers=1)
    with Image.open(tmp_path / "a.jpg") as one, Image.open(theirs) as other:
        assert one.quantization == other.quantization
        assert one.layer == other.layer == [(1, 2, 2, 0), (2, 1, 1, 1), (3, 1, 1, 1)]
        assert one.size == other.size
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_each_png_of_the_folders_goes_and_its_jpeg_shows_the_same(tmp_path: Path) -> None:
    pictures = {f"{folder}/{i}": draw(seed=i) for folder in ("left", "right") for i in range(6)}
    for name, pixels in pictures.items():
        write_png(tmp_path / f"{name}.png", pixels)
    (tmp_path / "left" / ".0.jpg.123.mono2many.part").write_bytes(b"of a process that was killed")
    assert convert_pngs([tmp_path / "left", tmp_path / "right"], workers=2) == 12
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {tmp_path / f"{name}.jpg" for name in pictures}
    for name, pixels in pictures.items():
        assert np.abs(np.asarray(Image.open(tmp_path / f"{name}.jpg")).astype(int) - pixels).mean() < 6


def test_grey_stays_grey(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", draw()[..., 0])
    convert_pngs([tmp_path], workers=1)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "L"
        assert np.abs(np.asarray(image).astype(int) - draw()[..., 0]).mean() < 3


def test_a_png_that_cannot_be_decoded_stays_and_is_named_and_others_go_on(tmp_path: Path) -> None:
    paths = [write_png(tmp_path / f"{i}.png", draw(seed=i)) for i in range(4)]
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    Image.fromarray(draw()).quantize().save(paths[2])  # would lose its colours
    with pytest.raises(InputError, match=r"2 of 4 PNGs were not converted and stay: .*1\.png \(.*2\.png \("):
        convert_pngs([tmp_path], workers=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.jpg", "1.png", "2.png", "3.jpg"]
    assert paths[1].read_bytes() == whole[: len(whole) // 2]


def test_a_png_stays_where_its_jpeg_cannot_have_its_name_or_shows_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_png(tmp_path / "a.png", draw())
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(InputError, match=r"a\.png \(Is a directory\)"):
        convert_pngs([tmp_path], workers=1)
    (tmp_path / "a.jpg").rmdir()
    monkeypatch.setattr("mono2many.datasets.kitti.jpeg.TOLERANCE", -1)
    with pytest.raises(InputError, match="read back, shows something else"):
        convert_pngs([tmp_path], workers=1)
    assert list(tmp_path.iterdir()) == [path]


def jpeg(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92, subsampling="4:2:0")
    return buffer.getvalue()


def test_a_jpeg_that_shows_something_else_is_told_from_its_loss() -> None:
    pixels = draw(75, 121)
    image, noise = Image.fromarray(pixels), np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    assert shows(jpeg(pixels), image)
    assert shows(jpeg(noise), Image.fromarray(noise))
    assert not shows(jpeg(pixels[:, :-1]), image)
    assert not shows(jpeg(draw(75, 121)[::-1]), image)
    pixels[32:40, 48:56] += 20  # one block of 135
    assert not shows(jpeg(pixels), image)
    with pytest.raises(ValueError, match=r"[Pp]remature end"):
        shows(jpeg(draw())[:-100], image)


def test_kittis_own_frames_keep_their_blocks_means_with_room_to_spare(
    kitti_raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = sorted(kitti_raw.glob("*/*/image_0[23]/data/*.png"))[::4]
    monkeypatch.setattr("mono2many.datasets.kitti.jpeg.TOLERANCE", TOLERANCE // 2)
    assert all(shows(jpeg(np.asarray(Image.open(path))), Image.open(path)) for path in frames)
