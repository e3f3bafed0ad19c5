"""Masks of what is fixed to the camera, beside films and folders."""

import pytest
import torch

from footage import HEIGHT, WIDTH, make_camera, make_folder, make_list, make_video, opened
from mono2many.data.cache import cached
from mono2many.io.images import write_image
from mono2many.types import InputError


def make_mask(path, rows=16, size=(64, 128)):
    """Black in the lowest rows."""
    mask = torch.full((3, *size), 255, dtype=torch.uint8)
    mask[:, size[0] - rows :] = 0
    write_image(path, mask)
    return str(path)


def test_a_mask_covers_what_is_fixed_to_the_camera_and_can_be_turned_off(tmp_path):
    video, mask = make_video(tmp_path / "a.mp4"), make_mask(tmp_path / "m.png")
    plain, masked = opened(video), opened(video, mask=(mask,))
    assert plain.frame(0, 0).valid_mask is None
    expected = (torch.arange(HEIGHT) < HEIGHT * 3 // 4)[:, None].expand(HEIGHT, WIDTH)
    assert torch.equal(masked.frame(0, 3).valid_mask, expected)
    assert torch.equal(next(masked.stream([(0, 2)])).valid_mask, expected)
    assert torch.equal(opened(video, mask=(mask,), crop_bottom=0.25).frame(0, 0).valid_mask, expected | True)
    make_list(tmp_path / "a.clips.json", [list(range(20))], mask="m.png")
    listed = str(tmp_path / "a.clips.json")
    assert torch.equal(opened(listed).frame(0, 0).valid_mask, expected)
    assert opened(listed, mask=("none",)).frame(0, 0).valid_mask is None
    small = make_mask(tmp_path / "small.png", 4, (32, 64))
    assert opened(listed, mask=(small,)).frame(0, 0).valid_mask[27].all()
    prints = {opened(video, **more).fingerprint() for more in ({}, {"mask": (mask,)}, {"mask": (small,)})}
    assert len(prints) == 3


def test_where_one_of_several_videos_has_a_mask_the_others_use_all_pixels_and_the_cache_keeps_both(tmp_path):
    video, folder = make_video(tmp_path / "a.mp4"), make_folder(tmp_path / "pictures")
    reader = opened(video, folder, mask=(make_mask(tmp_path / "m.png"), "none"))
    for frames in (reader, cached(reader, tmp_path / "cache")):
        assert frames.frame(0, 0).valid_mask.float().mean() == 0.75
        assert frames.frame(1, 0).valid_mask.all()


def test_a_mask_bends_with_its_distorted_frames(tmp_path):
    """Frames that are the mask itself: what is used is white."""
    mask = torch.full((3, 64, 128), 255, dtype=torch.uint8)
    mask[:, 40:, 30:90] = 0
    write_image(tmp_path / "m.png", mask)
    for i in range(4):
        write_image(tmp_path / "frames" / f"{i}.png", mask)
    camera = make_camera(tmp_path / "c.json", distortion=[-0.3, 0, 0, 0])
    more = {"camera": (camera,), "fov": None, "hold_out": 0.0, "size": (29, 64), "crop_bottom": 0.1}
    frame = opened(str(tmp_path / "frames"), mask=(str(tmp_path / "m.png"),), **more).frame(0, 0)
    white = frame.image[0] >= 220  # the resizing filter reaches a little beyond a pixel
    assert white[frame.valid_mask].all()
    assert frame.valid_mask[white].float().mean() > 0.97


@pytest.mark.parametrize(
    ("size", "rows", "name", "message"),
    [
        ((64, 100), 8, "m.png", r"m\.png: the mask is 100x64, the video 128x64.*give another PNG"),
        ((64, 128), 64, "m.png", r"m\.png: hides 100% of the image.*turn it round"),
        ((64, 128), 8, "m.jpg", r"m\.jpg: no such mask, or no PNG"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_in_one_line(size, rows, name, message, tmp_path):
    video, mask = make_video(tmp_path / "a.mp4"), make_mask(tmp_path / name, rows, size)
    with pytest.raises(InputError, match=message) as caught:
        opened(video, mask=(mask,))
    assert "\n" not in str(caught.value)


def test_masks_that_are_missing_or_too_many_are_refused(tmp_path):
    video = make_video(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"--mask: found 2 masks for 1 paths"):
        opened(video, mask=("none", "none"))
    listed = make_list(tmp_path / "a.clips.json", [list(range(20))], mask="gone.png")
    with pytest.raises(InputError, match=r"gone\.png.*bring it back.*--mask none"):
        opened(listed)
    assert opened(listed, mask=("none",)).clips
    with pytest.raises(InputError, match=r"key 'mask' is 7, wanted text"):
        opened(make_list(tmp_path / "a.clips.json", [list(range(20))], mask=7))
