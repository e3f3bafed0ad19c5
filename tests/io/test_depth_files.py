import numpy as np
import pytest
import torch
from PIL import Image

from mono2many.io import depth_files
from mono2many.types import InputError

NAN, INF = float("nan"), float("inf")


def test_an_npy_depth_comes_back_exactly_under_the_given_name(tmp_path):
    depth = torch.tensor([[1.25, NAN], [3.0, 80.0]])
    depth_files.write_depth_npy(tmp_path / "deep" / "a.npy", depth)
    np.testing.assert_array_equal(np.load(tmp_path / "deep" / "a.npy"), depth.numpy())


def test_a_png_holds_depth_times_256_and_zero_where_unknown(tmp_path):
    depth = torch.tensor([[1.0, 2.5, NAN, INF, 0.0, -1.0, 1e-9, 1e9]])
    assert depth_files.write_depth_png16(tmp_path / "a.png", depth) == 256.0
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image).tolist() == [[256, 640, 0, 0, 0, 0, 1, 65535]]
        assert image.info["mono2many:factor"] == "256.0"
        assert image.info["mono2many:scale"] == "metres"


def test_a_png_comes_back_within_half_a_step(tmp_path):
    depth = torch.rand(9, 7) * 80 + 0.1
    depth_files.write_depth_png16(tmp_path / "a.png", depth)
    assert (depth_files.read_depth_png16(tmp_path / "a.png") - depth).abs().max() <= 0.5 / 256 + 1e-5


def test_unknown_depth_comes_back_as_not_a_number(tmp_path):
    depth_files.write_depth_png16(tmp_path / "a.png", torch.tensor([[NAN, 1.0]]))
    assert depth_files.read_depth_png16(tmp_path / "a.png").isnan().tolist() == [[True, False]]


@pytest.mark.parametrize(("largest", "factor"), [(1.0, 32768.0), (0.01, 4194304.0), (1000.0, 64.0)])
def test_depth_up_to_scale_gets_the_largest_power_of_two_that_fits(tmp_path, largest, factor):
    depth = torch.tensor([[largest, largest / 3]])
    used = depth_files.write_depth_png16(tmp_path / "a.png", depth, factor=None, scale="up to scale")
    assert used == factor
    found = depth_files.read_depth_png16(tmp_path / "a.png")
    torch.testing.assert_close(found, depth, rtol=1e-4, atol=0)


def test_a_depth_png_without_text_has_kittis_factor(tmp_path):
    Image.fromarray(np.array([[512]], dtype=np.uint16)).save(tmp_path / "kitti.png")
    assert depth_files.read_depth_png16(tmp_path / "kitti.png").item() == 2.0


def test_a_coloured_picture_is_no_depth_map(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    with pytest.raises(InputError, match=r"rgb\.png.*16-bit"):
        depth_files.read_depth_png16(tmp_path / "rgb.png")


def test_a_broken_depth_png_is_refused_by_name(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(InputError, match=r"bad\.png"):
        depth_files.read_depth_png16(tmp_path / "bad.png")
