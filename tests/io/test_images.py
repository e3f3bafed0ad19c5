import re
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from mono2many.errors import InputWarning
from mono2many.io import images
from mono2many.types import InputError


def picture(height=6, width=8):
    return torch.arange(3 * height * width).reshape(3, height, width).mul(5).remainder(256).to(torch.uint8)


def smooth():
    ramp = torch.linspace(20, 220, 64).expand(48, 64)
    return torch.stack([ramp, ramp.flip(1), torch.full_like(ramp, 90)]).to(torch.uint8)


def test_a_png_comes_back_exactly(tmp_path):
    images.write_image(tmp_path / "new folder" / "a.png", picture())
    assert torch.equal(images.read_image(tmp_path / "new folder" / "a.png"), picture())


def test_a_jpeg_comes_back_closely(tmp_path):
    images.write_image(tmp_path / "a.jpg", smooth())
    difference = images.read_image(tmp_path / "a.jpg").int() - smooth().int()
    assert difference.abs().max() <= 8


def test_a_grey_picture_has_three_equal_channels(tmp_path):
    for name in ("grey.png", "grey.jpg"):
        Image.new("L", (5, 4), 77).save(tmp_path / name)
        assert torch.equal(images.read_image(tmp_path / name), torch.full((3, 4, 5), 77, dtype=torch.uint8))


def test_a_palette_picture_shows_its_colours(tmp_path):
    image = Image.new("P", (5, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "p.png")
    assert images.read_image(tmp_path / "p.png")[:, 0, 0].tolist() == [10, 20, 30]


def test_transparency_is_dropped(tmp_path):
    Image.new("RGBA", (5, 4), (10, 20, 30, 0)).save(tmp_path / "t.png")
    assert images.read_image(tmp_path / "t.png")[:, 0, 0].tolist() == [10, 20, 30]


def test_sixteen_bit_grey_is_divided_by_257(tmp_path):
    Image.fromarray(np.array([[0, 257, 25700, 65535]], dtype=np.uint16)).save(tmp_path / "d.png")
    assert images.read_image(tmp_path / "d.png")[0, 0].tolist() == [0, 1, 100, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_taken_with_a_turned_camera_comes_upright(tmp_path, orientation):
    from PIL import ImageOps

    for name in ("turned.png", "turned.jpg"):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(smooth().permute(1, 2, 0).numpy()).save(tmp_path / name, exif=exif, subsampling=0)
        with Image.open(tmp_path / name) as image:
            expected = torch.from_numpy(np.array(ImageOps.exif_transpose(image)))
        found = images.read_image(tmp_path / name)
        assert (found.permute(1, 2, 0).int() - expected.int()).abs().max() <= 2
        assert images.image_size(tmp_path / name) == tuple(found.shape[1:])


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg"])
def test_a_picture_cut_short_is_refused_by_name(tmp_path, name):
    noise = torch.randint(0, 256, (3, 60, 80), generator=torch.Generator().manual_seed(0))
    images.write_image(tmp_path / name, noise.to(torch.uint8))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=name) as caught:
        images.read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path, content):
    if content is not None:
        (tmp_path / "bad.jpg").write_bytes(content)
    for read in (images.read_image, images.image_size):
        with pytest.raises(InputError, match=r"bad\.jpg") as caught:
            read(tmp_path / "bad.jpg")
        assert len(str(caught.value)) < 400


def test_pictures_are_listed_in_the_order_people_count(tmp_path):
    for name in ("frame10.png", "frame2.PNG", "frame1.jpg", "notes.txt", ".frame3.png"):
        (tmp_path / name).touch()
    assert [path.name for path in images.list_images(tmp_path)] == ["frame1.jpg", "frame2.PNG", "frame10.png"]


def test_an_empty_or_missing_folder_is_refused_by_name(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(InputError, match=name):
            images.list_images(tmp_path / name)


def test_halving_a_picture_averages_around_each_new_pixel():
    # Antialiased bilinear by 2: weights 1/8, 3/8, 3/8, 1/8; on a ramp that is the middle of two pixels.
    ramp = torch.arange(0, 160, 10).to(torch.uint8).expand(3, 16, 16)
    half = images.resize_image(ramp, (8, 8))
    assert half[0, 4, 1:-1].tolist() == [25, 45, 65, 85, 105, 125]


def test_resizing_bytes_equals_resizing_numbers_to_one_grey_level():
    noise = torch.randint(0, 256, (2, 3, 40, 60), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    plain = torch.nn.functional.interpolate(noise.float(), size=(17, 23), mode="bilinear", antialias=True)
    found = images.resize_image(noise, (17, 23))
    assert found.is_contiguous()
    assert (found.float() - plain).abs().max() <= 1.01


def test_lanczos_is_pillows_for_every_picture_of_a_batch():
    noise = torch.randint(0, 256, (2, 3, 40, 60), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    found = images.resize_image(noise, (17, 23), filter="lanczos")
    assert found.is_contiguous()
    for ours, picture in zip(found, noise, strict=True):
        plain = Image.fromarray(picture.permute(1, 2, 0).numpy()).resize((23, 17), Image.Resampling.LANCZOS)
        assert np.array_equal(ours.permute(1, 2, 0).numpy(), np.asarray(plain))
    assert (found != images.resize_image(noise, (17, 23))).any()


def test_a_picture_with_an_unknown_ending_is_not_written(tmp_path):
    with pytest.raises(InputError, match=r"a\.xyz"):
        images.write_image(tmp_path / "a.xyz", picture())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("mode", "compression"), [("RGB", "raw"), ("RGB", "tiff_lzw"), ("I;16", "raw")])
def test_a_tiff_is_turned_once(tmp_path, orientation, mode, compression):
    upright = np.arange(6, dtype=np.uint16).reshape(2, 3) * 257 * 40
    stored = {
        1: upright,
        2: np.fliplr(upright),
        3: np.rot90(upright, 2),
        4: np.flipud(upright),
        5: upright.T,
        6: np.rot90(upright),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    if mode == "RGB":
        stored = np.repeat((stored // 257).astype(np.uint8)[..., None], 3, 2)
    path = tmp_path / "a.tif"
    Image.fromarray(np.ascontiguousarray(stored)).save(
        path, compression=compression, tiffinfo={0x0112: orientation}
    )
    assert images.image_size(path) == (2, 3)
    assert images.read_image(path)[0].tolist() == [[0, 40, 80], [120, 160, 200]]


def test_files_of_other_kinds_are_counted_and_named_and_end_a_run(tmp_path):
    present = [f"{i}.jpg" for i in (1, 2, 4, 5, 10)]
    others = ["3.HEIC", "3.MOV", "6.avif", "7.dng", "8.mp4"]
    ignored = ["2.dng", "1.MOV", "notes.txt", ".9.heic", "4.json"]  # 1 and 2 are there as JPEG
    for name in (*present, *others, *ignored):
        (tmp_path / name).touch()
    with pytest.warns(
        InputWarning, match=r"5 images are read, and 4 of other kinds .*6\.avif, 7\.dng.*\.\.\."
    ):
        folder = images.image_folder(tmp_path)
    assert [path.name for path in folder.images] == present
    assert folder.runs == [range(2), range(2, 4), range(4, 5)]
    assert folder.places == [0, 1, 3, 4, 8]
    (tmp_path / "heic").mkdir()
    for name in ("1.HEIC", "2.HEIC"):
        (tmp_path / "heic" / name).touch()
    with pytest.raises(InputError, match=r"no images found.*2 of other kinds \(1\.HEIC, 2\.HEIC\): convert"):
        images.list_images(tmp_path / "heic")


@pytest.mark.parametrize(
    ("low", "high", "hot", "said"),
    [
        (51230, 52170, None, "940 of 65535 levels \\(51230 to 52170\\): 4 grey levels"),
        (0, 4095, None, "4095 of 65535 levels"),
        (0, 16383, None, "16383 of 65535 levels"),
        (0, 4095, 65535, "40[89]. of 65535 levels"),
        (0, 60000, None, ""),
    ],
)
def test_16_bit_images_that_use_few_levels_are_named_with_one_stretch_for_all(tmp_path, low, high, hot, said):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        values = np.linspace(low, high, 40 * 60).round().astype(np.uint16).reshape(40, 60)
        values[0, 0] = values[0, 0] if hot is None else hot
        Image.fromarray(np.roll(values, i, 1)).save(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images.warn_of_few_levels(tmp_path, paths)
    assert len(caught) == bool(said)
    if said:
        text = str(caught[0].message)
        assert re.search(said, text)
        assert hot is not None or f"-level {low},{high} " in text


def test_8_bit_and_damaged_images_have_no_levels_to_warn_of(tmp_path):
    Image.new("L", (5, 4), 77).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"no image")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.warn_of_few_levels(tmp_path, [tmp_path / "1.png", tmp_path / "2.png"])
        images.warn_of_few_levels(tmp_path, [tmp_path / "2.png"])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_huge_image_is_refused_in_one_line_that_says_so(tmp_path, monkeypatch, name):
    images.write_image(tmp_path / name, picture(60, 80))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # twice that is refused
    for read in (images.read_image, images.image_size):
        with pytest.raises(InputError, match=r"is too large.*4800 pixels.*shrink it") as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)
