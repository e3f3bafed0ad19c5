"""Which frames of films and folders are trained on, and how they are decoded."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from footage import level, make_folder, make_video, mean, opened
from mono2many.data.cache import cached
from mono2many.data.lists import split_range
from mono2many.errors import InputWarning
from mono2many.io.images import write_image
from mono2many.types import InputError


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


def test_nothing_held_out_leaves_nothing_to_validate_on(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    assert opened(path, hold_out=0.0).clips[0].frames == 20
    with pytest.raises(InputError, match="--hold-out"):
        opened(path, hold_out=0.0, split="val")


def test_films_say_when_their_frames_were_taken_and_which_camera_took_them(tmp_path):
    video, folder = make_video(tmp_path / "a.mp4"), make_folder(tmp_path / "pictures")
    first, second = opened(video, folder, split="val").clips
    assert first.times == (17 / 25, 18 / 25, 19 / 25)
    assert second.times is None
    assert (first.camera, second.camera) == (0, 1)
    assert (first.size, second.size) == ((64, 128), (48, 96))


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


def test_a_picture_of_another_size_in_a_folder_is_refused_by_name(tmp_path):
    folder = make_folder(tmp_path / "pictures")
    write_image(tmp_path / "pictures" / "frame3.png", torch.zeros(3, 50, 96, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"frame3\.png"):
        opened(folder).frame(0, 3)


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


def test_footage_that_would_not_fit_into_memory_is_refused_before_decoding(tmp_path):
    path = make_video(tmp_path / "a.mp4")
    reader = opened(path, size=(10**6, 10**6))
    with pytest.raises(InputError, match=r"a\.mp4.*GB.*--cache on"):
        reader.load()
    with pytest.raises(InputError, match=r"a\.mp4.*GB"):
        reader.frame(0, 0)


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


def test_the_real_road_video_is_counted_without_decoding(road):
    long, short = str(road / "road.mp4"), str(road / "short_unknown_camera.mp4")
    camera = (str(road / "road_camera.json"),)
    assert opened(long, camera=camera, fov=None, hold_out_frames=200).clips[0].frames == 1060
    assert opened(short, hold_out_frames=3).clips[0].frames == 218
