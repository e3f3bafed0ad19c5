"""Which camera the frames of films and folders have: its file, its lens, its field of view."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from footage import HEIGHT, WIDTH, level, make_camera, make_folder, make_list, make_video, mean, opened
from mono2many.datasets.choice import TrainingData
from mono2many.datasets.video import VideoTraining
from mono2many.evaluate.check import camera
from mono2many.io.images import write_image
from mono2many.train.remarks import camera_remarks
from mono2many.train.settings import TrainConfig
from mono2many.types import InputError


def test_frames_have_the_training_size_and_the_resized_camera(tmp_path):
    path, camera = make_video(tmp_path / "a.mp4"), make_camera(tmp_path / "c.json")
    frame = opened(path, camera=(camera,), fov=None).frame(0, 3)
    assert frame.image.shape == (3, HEIGHT, WIDTH)
    assert frame.image.dtype == torch.uint8
    # half the size: cx' = (63.5 + 0.5) / 2 - 0.5
    expected = torch.tensor([[50.0, 0, 31.5], [0, 50.0, 15.5], [0, 0, 1]])
    torch.testing.assert_close(frame.intrinsics, expected)


def test_several_sources_keep_their_own_cameras(tmp_path):
    video, folder = make_video(tmp_path / "a.mp4"), make_folder(tmp_path / "pictures")
    camera = make_camera(tmp_path / "c.json"), make_camera(tmp_path / "d.json", 192, 96, fx=96.0, fy=96.0)
    reader = opened(video, folder, camera=camera, fov=None)
    assert [clip.frames for clip in reader.clips] == [17, 7]
    assert reader.frame(0, 0).intrinsics[0, 0] == 50.0
    torch.testing.assert_close(reader.frame(1, 0).intrinsics[0, 0].item(), WIDTH / 2)
    assert mean(reader, 1, 6) == level(6)


def test_neither_camera_nor_field_of_view_is_refused_with_both_flags():
    with pytest.raises(InputError, match=r"--camera.*--fov"):
        opened("a.mp4", fov=None)


def test_two_cameras_for_three_paths_are_refused():
    with pytest.raises(InputError, match="2 cameras for 3 paths"):
        opened("a", "b", "c", camera=("x", "y"), fov=None)


def test_a_camera_of_another_shape_is_refused(tmp_path):
    camera = make_camera(tmp_path / "square.json", width=128, height=128)
    with pytest.raises(InputError, match=r"a\.mp4 is 128x64.*square\.json"):
        opened(make_video(tmp_path / "a.mp4"), camera=(camera,), fov=None)


def test_a_crop_below_leaves_the_camera_its_axis_and_drops_the_rows(tmp_path):
    rows = torch.arange(64, dtype=torch.uint8)[None, :, None].expand(3, 64, 128)
    for i in range(4):
        write_image(tmp_path / f"{i}.png", rows)
    camera = make_camera(tmp_path / "camera.json")
    more = {"camera": (camera,), "fov": None, "size": (32, 128), "hold_out": 0.0}
    reader = opened(str(tmp_path), crop_bottom=0.5, **more)
    frame = reader.frame(0, 0)
    assert torch.equal(frame.image[0, :, 0], torch.arange(32, dtype=torch.uint8))
    assert frame.intrinsics.tolist() == [[100, 0, 63.5], [0, 100, 31.5], [0, 0, 1]]


def test_a_camera_to_be_learnt_starts_from_the_field_of_view_or_a_phones(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    for fov, expected in ((90.0, WIDTH / 2), (None, WIDTH / 2 / np.tan(np.radians(32.5)))):
        reader = opened(path, camera=("learn",), fov=fov)
        assert float(reader.frame(0, 0).intrinsics[0, 0]) == pytest.approx(expected)


def test_a_bent_line_arrives_straight(tmp_path):
    # With k1 alone the ideal point (x, y) is seen at (x, y) (1 + k1 r2): draw the ideal line x = 16 bent.
    k1, x = -0.2, (16 - 63.5) / 100
    picture = torch.zeros(3, 64, 128)
    columns = torch.arange(128.0)
    for row in range(64):
        y = (row - 31.5) / 100
        for _ in range(50):  # the ideal y that is seen in this row
            y = (row - 31.5) / 100 / (1 + k1 * (x * x + y * y))
        seen = 63.5 + 100 * x * (1 + k1 * (x * x + y * y))
        picture[:, row] = 255 * torch.exp(-((columns - seen) ** 2) / 4)
    for i in range(6):
        write_image(tmp_path / "bent" / f"{i}.png", picture.round().to(torch.uint8))
    found = []
    for distortion in ([k1, 0.0, 0.0, 0.0], []):
        camera = make_camera(tmp_path / "c.json", distortion=distortion)
        reader = opened(str(tmp_path / "bent"), camera=(camera,), fov=None, size=(64, 128))
        image = reader.frame(0, 0).image[0].float()
        found.append((image * columns).sum(1) / image.sum(1))
    straight, curved = found
    assert (straight[2:-2] - 16).abs().max() < 0.1
    assert curved.max() - curved.min() > 0.5


def test_frames_of_a_fisheye_arrive_undistorted(tmp_path):
    # Without coefficients its pixels count angles. Of each pixel the picture shows twice the ideal column.
    row, column = torch.meshgrid(torch.arange(64.0), torch.arange(128.0), indexing="ij")
    x, angle = (column - 63.5) / 50, torch.hypot(column - 63.5, row - 31.5) / 50
    ideal = (63.5 + 50 * x * angle.tan() / angle).clamp(0, 127)
    assert (ideal - column).abs().max() > 20
    for i in range(4):
        write_image(tmp_path / f"{i}.png", (2 * ideal).round().to(torch.uint8).expand(3, 64, 128))
    lens = {"fx": 50.0, "fy": 50.0, "distortion_model": "equidistant", "distortion_coeffs": [0, 0, 0, 0]}
    camera = make_camera(tmp_path / "c.json", **lens)
    reader = opened(str(tmp_path), camera=(camera,), fov=None, size=(64, 128), hold_out=0.0)
    found = reader.frame(0, 0).image[0].float() / 2
    assert (found - column)[:, 2:-2].abs().max() <= 0.5


def shown_otherwise(path, rotation=0, aspect=Fraction(1)):
    """A video of 128x64 stored pixels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        stream.set_display_rotation(rotation)
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((64, 128, 3), level(i), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def test_a_camera_follows_a_video_that_is_shown_turned(tmp_path):
    camera = make_camera(tmp_path / "c.json", cx=60.5, fy=110.0)
    more = {"camera": (camera,), "fov": None, "size": (128, 64), "hold_out": 0.0}
    for rotation, cy in ((90, 127 - 60.5), (-90, 60.5)):
        path = shown_otherwise(tmp_path / f"{rotation}.mp4", rotation)
        expected = [[110.0, 0, 31.5], [0, 100.0, cy], [0, 0, 1]]
        assert opened(path, **more).intrinsics[0].tolist() == expected
    (tmp_path / "-90.mp4").rename(tmp_path / "a.mp4")
    clips = make_list(tmp_path / "a.clips.json", [[*range(6)]], width=64, height=128)
    assert opened(clips, **more).intrinsics[0].tolist() == expected


@pytest.mark.parametrize(("orientation", "cy"), [(6, 60.5), (8, 127 - 60.5)])
def test_a_camera_follows_images_that_exif_turns(tmp_path, orientation, cy):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for i in range(4):
        Image.new("RGB", (128, 64)).save(tmp_path / f"{i}.jpg", exif=exif)
    camera = make_camera(tmp_path / "c.json", cx=60.5, fy=110.0)
    reader = opened(str(tmp_path), camera=(camera,), fov=None, size=(128, 64), hold_out=0.0)
    assert reader.intrinsics[0].tolist() == [[110.0, 0, 31.5], [0, 100.0, cy], [0, 0, 1]]


def test_a_video_of_pixels_that_are_not_square_has_another_focal_length_down(tmp_path):
    path = shown_otherwise(tmp_path / "a.mp4", aspect=Fraction(4, 3))
    reader = opened(path, fov=90.0, size=(64, 128), hold_out=0.0)
    k = reader.intrinsics[0]
    assert (float(k[0, 0]), float(k[1, 1])) == pytest.approx((64.0, 64.0 * 4 / 3))
    assert camera(k, reader.clips[0], (64, 128)).verdict == "ok"
    assert camera(k, replace(reader.clips[0], pixel_aspect=1.0), (64, 128)).verdict == "problem"
    turned = opened(shown_otherwise(tmp_path / "b.mp4", 90, Fraction(4, 3)), fov=90.0, hold_out=0.0)
    assert turned.clips[0].pixel_aspect == pytest.approx(3 / 4)


def test_training_questions_a_camera_whose_centre_is_far_off(tmp_path):
    path = make_folder(tmp_path / "pictures")
    config = TrainConfig(
        TrainingData(datatype="video", height=64, width=128), VideoTraining((path,), fov=60.0)
    )
    for cx, found in ((47.5, 0), (20.0, 1)):
        camera_file = make_camera(tmp_path / "c.json", 96, 48, fx=60.0, fy=60.0, cx=cx, cy=23.5)
        reader = opened(path, camera=(camera_file,), fov=None, size=(64, 128), hold_out=0.0)
        said = list(camera_remarks(config, reader))
        assert len(said) == found
        assert all("cx and cy" in one and path in one for one in said)
