import json
import os
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from mono2many.data.cache import cached
from mono2many.data.lists import split_range
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.choice import TrainingData
from mono2many.datasets.video import VideoData, VideoTraining
from mono2many.datasets.video.reader import VideoReader
from mono2many.errors import InputWarning
from mono2many.evaluate.check import camera
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.train.loop import camera_remarks
from mono2many.train.settings import TrainConfig
from mono2many.types import InputError

ROAD = Path(__file__).parents[3] / "shared/data/road_video"
HEIGHT, WIDTH = 32, 64


def level(i):
    return 5 * i + 20


def make_video(path, frames=20):
    with VideoWriter(path, fps=25.0) as video:
        for i in range(frames):
            video.write(torch.full((3, 64, 128), level(i), dtype=torch.uint8))
    return str(path)


def make_folder(path, frames=10, height=48):
    for i in range(frames):
        write_image(path / f"frame{i}.png", torch.full((3, height, 96), level(i), dtype=torch.uint8))
    return str(path)


def make_camera(path, width=128, height=64, **more):
    values = {"width": width, "height": height, "fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 31.5}
    path.write_text(json.dumps(values | more))
    return str(path)


def opened(*paths, split="train", size=(HEIGHT, WIDTH), crop_bottom=0.0, **more):
    settings = VideoData(paths, **({"fov": 60.0} | more))
    return VideoReader(settings, ReadOptions(*size, crop_bottom=crop_bottom), split)


def mean(reader, clip, index):
    return reader.frame(clip, index).image.float().mean().item()


def test_the_end_of_a_video_is_held_out(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    train, val = (opened(path, hold_out=0.25, split=split) for split in ("train", "val"))
    assert [clip.frames for clip in train.clips] == [15]
    assert [clip.frames for clip in val.clips] == [5]
    assert mean(train, 0, 14) == pytest.approx(level(14), abs=2)
    assert mean(val, 0, 0) == pytest.approx(level(15), abs=2)
    assert mean(val, 0, 4) == pytest.approx(level(19), abs=2)
    assert opened(path, hold_out=0.25, split="test").clips == val.clips


@pytest.mark.parametrize(
    ("changes", "held"),
    [((0.1, None), 10), ((0.01, None), 3), ((0.0, None), 0), ((0.1, 42), 42)],
)
def test_a_number_of_held_out_frames_wins_over_the_share(changes, held):
    assert split_range(100, *changes, "train", "a") == range(100 - held)
    assert split_range(100, *changes, "val", "a") == range(100 - held, 100)


@pytest.mark.parametrize(("frames", "held"), [(2, 0), (5, 3), (100, 2), (100, 98), (3, 50)])
def test_fewer_than_three_frames_in_a_split_are_refused_by_name(frames, held):
    with pytest.raises(InputError, match=r"a\.mp4"):
        split_range(frames, 0.1, held, "train", "a.mp4")


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


def test_loading_reports_progress_and_decodes_only_once(tmp_path):
    first, second = make_video(tmp_path / "a.mp4"), make_video(tmp_path / "b.mp4")
    reader = opened(first, second)
    seen = []
    reader.load(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (34, 34)
    assert seen == sorted(seen)
    Path(first).unlink()
    assert mean(reader, 0, 3) == pytest.approx(level(3), abs=2)


def test_a_loaded_reader_can_be_sent_to_a_worker(tmp_path):
    reader = opened(make_video(tmp_path / "a.mp4"))
    reader.load()
    sent = pickle.loads(pickle.dumps(reader))
    assert torch.equal(sent.frame(0, 2).image, reader.frame(0, 2).image)


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


def test_nothing_held_out_leaves_nothing_to_validate_on(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    assert opened(path, hold_out=0.0).clips[0].frames == 20
    with pytest.raises(InputError, match="--hold-out"):
        opened(path, hold_out=0.0, split="val")


def test_a_picture_of_another_size_in_a_folder_is_refused_by_name(tmp_path):
    folder = make_folder(tmp_path / "pictures")
    write_image(tmp_path / "pictures" / "frame3.png", torch.zeros(3, 50, 96, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"frame3\.png"):
        opened(folder).frame(0, 3)


def test_footage_that_would_not_fit_into_memory_is_refused_before_decoding(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    reader = opened(path, size=(10**6, 10**6))
    with pytest.raises(InputError, match=r"a\.mp4.*GB.*--cache on"):
        reader.load()
    with pytest.raises(InputError, match=r"a\.mp4.*GB"):
        reader.frame(0, 0)


@pytest.mark.skipif(not ROAD.is_dir(), reason="real data not here")
def test_the_real_road_video_is_counted_without_decoding():
    road, short = str(ROAD / "road.mp4"), str(ROAD / "short_unknown_camera.mp4")
    camera = (str(ROAD / "road_camera.json"),)
    assert opened(road, camera=camera, fov=None, hold_out_frames=200).clips[0].frames == 1060
    assert opened(short, hold_out_frames=3).clips[0].frames == 218


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


def make_list(path, listed, **more):
    values = {
        "format": "mono2many-clips",
        "version": 1,
        "film": "a.mp4",
        "width": 128,
        "height": 64,
        "fps": 25.0,
    }
    values["bytes"] = (path.parent / "a.mp4").stat().st_size if (path.parent / "a.mp4").exists() else 0
    values["clips"] = [{"frames": frames, "times": [i / 25 for i in frames]} for frames in listed]
    path.write_text(json.dumps(values | more))
    return str(path)


def test_films_say_when_their_frames_were_taken_and_which_camera_took_them(tmp_path):
    video, folder = make_video(tmp_path / "a.mp4"), make_folder(tmp_path / "pictures")
    first, second = opened(video, folder, split="val").clips
    assert first.times == (17 / 25, 18 / 25, 19 / 25)
    assert second.times is None
    assert (first.camera, second.camera) == (0, 1)
    assert (first.size, second.size) == ((64, 128), (48, 96))


def test_a_camera_to_be_learnt_starts_from_the_field_of_view_or_a_phones(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    for fov, expected in ((90.0, WIDTH / 2), (None, WIDTH / 2 / np.tan(np.radians(32.5)))):
        reader = opened(path, camera=("learn",), fov=fov)
        assert float(reader.frame(0, 0).intrinsics[0, 0]) == pytest.approx(expected)


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


def test_a_run_through_a_film_gives_the_frames_that_loading_gives(tmp_path):
    reader = opened(make_video(tmp_path / "a.mp4"), make_video(tmp_path / "b.mp4"))
    places = [(0, 3), (0, 4), (0, 9), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 16)]
    streamed = list(reader.stream(places))
    assert [f.image.float().mean().item() for f in streamed] == pytest.approx(
        [level(i) for _, i in places], abs=2
    )
    reader.load()
    for place, frame in zip(places, streamed, strict=True):
        assert torch.equal(reader.frame(*place).image, frame.image)


def test_the_cache_of_films_is_the_same_from_one_process_or_two(tmp_path):
    reader = opened(make_video(tmp_path / "a.mp4"), make_folder(tmp_path / "b"))
    caches = [cached(reader, tmp_path / str(workers), workers) for workers in (0, 2)]
    for clip, listed in enumerate(reader.clips):
        for index in range(listed.frames):
            one, two = (cache.frame(clip, index) for cache in caches)
            assert torch.equal(one.image, two.image)
            assert torch.equal(one.image, reader.frame(clip, index).image)
            assert torch.equal(one.intrinsics, reader.frame(clip, index).intrinsics)


def test_listed_clips_have_their_frames_and_times_and_hold_out_their_ends(tmp_path):
    make_video(tmp_path / "a.mp4")
    path = make_list(tmp_path / "a.clips.json", [[0, 2, 3, 4, 6, 7, 8], [10, 11, 12, 13], [15, 16, 18]])
    train, val = (opened(path, split=split) for split in ("train", "val"))
    # too short for two parts of 3: the second and the third are for training
    assert [clip.frames for clip in train.clips] == [4, 4, 3]
    assert [clip.name for clip in train.clips] == ["a.mp4#0", "a.mp4#1", "a.mp4#2"]
    assert [clip.times for clip in val.clips] == [(6 / 25, 7 / 25, 8 / 25)]
    assert [mean(train, 0, i) for i in range(4)] == pytest.approx([level(i) for i in (0, 2, 3, 4)], abs=2)
    assert mean(train, 2, 2) == pytest.approx(level(18), abs=2)
    assert mean(val, 0, 0) == pytest.approx(level(6), abs=2)


def test_a_list_whose_clips_are_all_too_short_to_hold_out_is_refused(tmp_path):
    make_video(tmp_path / "a.mp4")
    path = make_list(tmp_path / "a.clips.json", [[0, 1, 2, 3], [5, 6, 7]])
    with pytest.raises(InputError, match="--hold-out"):
        opened(path)
    assert len(opened(path, hold_out=0.0).clips) == 2


def test_a_list_of_pictures_opens_those_that_it_names(tmp_path):
    make_folder(tmp_path / "pictures")
    path = make_list(tmp_path / "p.clips.json", [[1, 3, 5, 6, 7, 9]], film="pictures", width=96, height=48)
    reader = opened(path)
    assert [mean(reader, 0, i) for i in range(3)] == [level(1), level(3), level(5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bytes": 7}, r"a\.mp4 has \d+ bytes, had 7.*prepare"),
        ({"film": "b.mp4"}, r"b\.mp4 is missing.*prepare"),
        ({"format": "other"}, r"list of clips.*prepare"),
        ({"clips": [{"frames": [3, 2, 1]}]}, r"not in order.*prepare"),
        ({"clips": "none"}, r"list of clips.*prepare"),
        ({"width": 96}, r"a\.mp4: is 128x64.*96x64"),
    ],
)
def test_a_list_that_does_not_fit_its_film_is_refused_in_one_line(changes, message, tmp_path):
    make_video(tmp_path / "a.mp4")
    path = make_list(tmp_path / "a.clips.json", [[0, 1, 2, 3, 4, 5]], **changes)
    with pytest.raises(InputError, match=message) as caught:
        opened(path).frame(0, 0)
    assert "\n" not in str(caught.value)


def test_grey_and_16_bit_pictures_are_read_and_a_truncated_one_is_named(tmp_path):
    folder = tmp_path / "pictures"
    make_folder(folder)
    Image.fromarray(np.full((48, 96), 77, np.uint8)).save(folder / "frame1.png")
    Image.fromarray(np.full((48, 96), 257 * 99, np.uint16)).save(folder / "frame2.png")
    write_image(folder / "frame3.png", torch.randint(0, 256, (3, 48, 96)).to(torch.uint8))
    os.truncate(folder / "frame3.png", 5000)
    reader = opened(str(folder))
    assert [mean(reader, 0, i) for i in (1, 2)] == [77, 99]
    with pytest.raises(InputError, match=r"frame3\.png: cannot be read") as caught:
        reader.frame(0, 3)
    assert "\n" not in str(caught.value)


def test_neighbours_are_never_taken_across_an_image_that_cannot_be_read(tmp_path):
    folder = make_folder(tmp_path / "pictures", frames=12)
    (tmp_path / "pictures" / "frame5.png").rename(tmp_path / "pictures" / "frame5.HEIC")
    with pytest.warns(InputWarning, match=r"11 images are read, and 1 of other kinds \(frame5\.HEIC\)"):
        reader = opened(folder, hold_out=0.0)
    assert [clip.frames for clip in reader.clips] == [5, 6]
    assert [mean(reader, 0, 4), mean(reader, 1, 0)] == [level(4), level(6)]
    assert [clip.camera for clip in reader.clips] == [0, 0]


def test_a_folder_of_videos_is_each_of_them_and_a_pattern_what_it_matches(tmp_path):
    (tmp_path / "trips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / "trips" / name)
    for data in (tmp_path / "trips", tmp_path / "trips" / "*.mp4"):
        reader = opened(str(data), hold_out=0.0)
        assert [clip.frames for clip in reader.clips] == [20, 20]
        assert [clip.camera for clip in reader.clips] == [0, 1]
    with pytest.raises(InputError, match=r"no such video file"):
        opened(str(tmp_path / "*.mov"))


def test_one_image_as_data_is_refused_with_its_folder_as_remedy(tmp_path):
    make_folder(tmp_path / "pictures")
    with pytest.raises(InputError, match=r"frame0\.png: is one image.*folder"):
        opened(f"{tmp_path}/pictures/*.png")


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
