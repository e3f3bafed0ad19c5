"""Lists of clips as data."""

import pytest
import torch

from footage import level, make_folder, make_list, make_video, mean, opened
from mono2many.datasets.video.clips import whole
from mono2many.io.videos import VideoWriter
from mono2many.types import InputError


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


def test_a_video_without_a_list_has_its_own_times_since_its_first_frame(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25.0, [2.0, 2.04, 2.2, 2.24]) as video:
        for i in range(4):
            video.write(torch.full((3, 64, 128), level(i), dtype=torch.uint8))
    (clip,) = whole(tmp_path / "a.mp4")
    assert clip.times == pytest.approx([0.0, 0.04, 0.2, 0.24], abs=1e-4)


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
