import numpy as np
import pytest
import torch
from PIL import Image

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
