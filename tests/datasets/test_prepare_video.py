import io
import json
from fractions import Fraction
from itertools import islice

import av
import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

from mono2many.datasets.base import ReadOptions
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.prepare import beyond_rate, prepare_video, usual_step
from mono2many.datasets.video.reader import VideoReader
from mono2many.errors import InputWarning
from mono2many.io.images import read_image, resize_image, write_image
from mono2many.io.videos import video_frames
from mono2many.types import InputError

HEIGHT, WIDTH = 96, 160


def pan(seed, frames, step=2):
    """A camera that passes a wall of random texture, `step` pixels a frame."""
    random = torch.Generator().manual_seed(seed)
    wall = torch.rand(1, 3, HEIGHT // 4, (WIDTH + frames * step) // 4 + 1, generator=random)
    wall = F.interpolate(wall, scale_factor=4, mode="bicubic").clamp(0, 1)[0]
    return [(wall[..., i * step : i * step + WIDTH] * 255).to(torch.uint8) for i in range(frames)]


def film(path, frames, times=None, rotation=0):
    """H.264; `times` in seconds, to the millisecond; 25 frames/s without."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20"})
        stream.height, stream.width = frames[0].shape[1:]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame.permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            picture.pts = round(1000 * (i / 25 if times is None else times[i]))
            picture.time_base = Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def prepare(path, out, **options):
    console = Console(width=80, record=True, file=io.StringIO())
    (written,) = prepare_video([str(path)], str(out), console=console, **options)
    return json.loads(written.read_text()), console.export_text()


def numbers(clips):
    return [clip["frames"] for clip in clips["clips"]]


def test_a_moving_film_is_one_clip_and_nothing_is_left_out(tmp_path):
    path = film(tmp_path / "a.mp4", pan(0, 30))
    clips, text = prepare(path, tmp_path / "lists")
    assert text.startswith("decoding 30 frames of a.mp4\n")  # no terminal: no bar
    assert clips == {
        "format": "mono2many-clips",
        "version": 1,
        "film": "../a.mp4",
        "bytes": path.stat().st_size,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": pytest.approx(25),
        "clips": [{"frames": list(range(30)), "times": pytest.approx([i / 25 for i in range(30)])}],
        "frames": 30,
        "motion": pytest.approx(2 / WIDTH, rel=0.02),
        "left_out": {"duplicates": 0, "still": 0, "off_grid": 0, "short_clips": 0},
        "cuts": [],
        "blurred": [],
        "mask": None,
    }
    assert "fixed" not in text
    assert "30 (100.0%) in 1 clip\n" in text
    assert f"--datatype video --data {tmp_path}/lists/a.clips.json --camera learn" in text.replace("\n", "")


def test_the_reader_takes_the_list(tmp_path):
    frames = pan(0, 30)
    prepare(film(tmp_path / "a.mp4", frames[:15] + frames[14:15] * 4 + frames[15:]), tmp_path)
    settings = VideoData((str(tmp_path / "a.clips.json"),), fov=60.0, hold_out=0.0)
    (clip,) = VideoReader(settings, ReadOptions(96, 160), "train").clips
    assert clip.frames == 30
    assert clip.times[15] == pytest.approx(19 / 25)


def test_a_cut_ends_a_clip_and_frozen_frames_are_left_out(tmp_path):
    frames = pan(0, 40)
    frames = [*frames[:20], *[frames[19]] * 15, *frames[20:], *pan(1, 20), *pan(2, 5)]
    clips, text = prepare(film(tmp_path / "a.mp4", frames), tmp_path)
    assert numbers(clips) == [[*range(20), *range(35, 55)], list(range(55, 75))]
    assert clips["cuts"] == [55, 75]
    assert clips["left_out"] == {"duplicates": 15, "still": 0, "off_grid": 0, "short_clips": 5}
    assert "15 repeated (18.8%), 5 in short clips (6.2%)" in text


def test_a_camera_that_stands_among_noise_teaches_nothing_and_a_long_pause_ends_the_clip(tmp_path):
    moving, random = pan(0, 32), torch.Generator().manual_seed(3)

    def noisy(frame):
        return (frame + 4 * torch.randn(frame.shape, generator=random)).clamp(0, 255).to(torch.uint8)

    frames = [*moving[:16], *(noisy(moving[15]) for _ in range(30)), *moving[16:]]
    clips, _ = prepare(film(tmp_path / "a.mp4", frames), tmp_path)
    assert numbers(clips) == [list(range(16)), list(range(46, 62))]
    assert clips["left_out"]["still"] + clips["left_out"]["duplicates"] == 30


def test_a_slow_camera_is_thinned_to_frames_that_differ(tmp_path):
    # a tenth of a pixel a frame is less than 0.0008 of 160 pixels, two tenths are more
    wide = torch.stack(pan(0, 1, step=10)).float()
    wide = F.interpolate(wide, size=(10 * HEIGHT, 10 * WIDTH), mode="bicubic")[0].clamp(0, 255)
    frames = [F.avg_pool2d(wide[..., i : i + 10 * WIDTH - 40], 10).to(torch.uint8) for i in range(40)]
    folder = tmp_path / "slow"
    for i, frame in enumerate(frames):
        write_image(folder / f"{i}.png", frame)
    clips, _ = prepare(folder, tmp_path)
    assert len(clips["clips"]) == 1
    assert 18 <= len(numbers(clips)[0]) <= 22


def test_frames_beyond_the_usual_rate_are_left_out(tmp_path):
    times = [i * 0.04 for i in range(20)] + [0.8 + i * 0.02 for i in range(18)]
    clips, _ = prepare(film(tmp_path / "a.mp4", pan(0, 38), times), tmp_path)
    assert clips["left_out"]["off_grid"] == 9
    assert numbers(clips)[0] == [*range(20), *range(20, 38, 2)]


def test_a_turned_phones_film_is_listed_upright(tmp_path):
    clips, _ = prepare(film(tmp_path / "a.mp4", pan(0, 14), rotation=90), tmp_path)
    assert (clips["width"], clips["height"]) == (HEIGHT, WIDTH)
    assert numbers(clips) == [list(range(14))]


def test_a_blurred_frame_is_listed_and_kept(tmp_path):
    frames = pan(0, 30)
    frames[11] = F.avg_pool2d(frames[11].float(), 5, 1, 2).to(torch.uint8)
    clips, text = prepare(film(tmp_path / "a.mp4", frames), tmp_path)
    assert clips["blurred"] == [11]
    assert 11 in numbers(clips)[0]
    assert "at frame 11" in text


def test_pictures_of_a_folder_have_no_times(tmp_path):
    for i, frame in enumerate(pan(0, 14)):
        write_image(tmp_path / "walk" / f"{i}.png", frame)
    clips, _ = prepare(tmp_path / "walk", tmp_path)
    assert (clips["film"], clips["bytes"], clips["fps"]) == ("walk", 0, None)
    assert clips["clips"] == [{"frames": list(range(14)), "times": None}]


def test_what_cannot_be_prepared_is_refused_by_name(tmp_path):
    good = film(tmp_path / "a.mp4", pan(0, 14))
    with pytest.raises(InputError, match=r"a\.mp4: nothing is left of 14 frames: 14 in short clips"):
        prepare(good, tmp_path, shortest=15)
    with pytest.raises(InputError, match=r"b\.mp4: no such video"):
        prepare(tmp_path / "b.mp4", tmp_path)
    with pytest.raises(InputError, match=r"a\.clips\.json: two inputs"):
        prepare_video([str(good), str(good)], str(tmp_path))
    taken = tmp_path / "a.clips.json"
    taken.write_text('{"mine": 1}')
    with pytest.raises(InputError, match=r"a\.clips\.json: exists and is no list"):
        prepare(good, tmp_path)
    assert taken.read_text() == '{"mine": 1}'
    taken.unlink()
    prepare(good, tmp_path)
    prepare(good, tmp_path)
    good.write_bytes(good.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"a\.mp4"):
        prepare(good, tmp_path)


def test_the_rate_of_a_film_is_found_through_rounded_times_and_gaps():
    rounded = [round(i / 24, 3) for i in range(240)]
    assert usual_step(rounded) == pytest.approx(1 / 24, abs=1e-5)
    assert usual_step([0.0, 0.04, 0.08, 0.5, 0.54, 0.58, 0.6]) == pytest.approx(0.04)
    assert usual_step([]) is usual_step([1.0]) is None


def test_every_other_frame_of_twice_the_rate_is_beyond_it():
    steady = [i / 30 for i in range(300)]
    assert beyond_rate(steady, 1 / 30) == beyond_rate([round(t, 3) for t in steady], 1 / 30) == set()
    assert beyond_rate(steady, 1 / 15) == set(steady[1::2])
    assert beyond_rate([], 1 / 15) == set()


def test_a_highway_filmed_from_a_car_is_kept_whole_but_for_its_cut(road, tmp_path):
    frames = [resize_image(f, (180, 320)) for f in islice(video_frames(road / "road.mp4"), 230)]
    clips, _ = prepare(film(tmp_path / "a.mp4", frames[:30] + frames[200:]), tmp_path)
    assert numbers(clips) == [list(range(30)), list(range(30, 60))]
    assert clips["cuts"] == [30]
    assert sum(clips["left_out"].values()) == len(clips["blurred"]) == 0


def test_images_on_both_sides_of_one_that_cannot_be_read_are_two_clips(tmp_path):
    for i, frame in enumerate(pan(0, 9)):
        write_image(tmp_path / "photos" / f"{i}.png", frame)
    (tmp_path / "photos" / "4.png").rename(tmp_path / "photos" / "4.heic")
    with pytest.warns(InputWarning, match=r"8 images are read, and 1 of other kinds \(4\.heic\)"):
        clips, _ = prepare(tmp_path / "photos", tmp_path / "lists", shortest=3)
    assert numbers(clips) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.warns(InputWarning), pytest.raises(InputError, match=r"8 in short clips.*convert the files"):
        prepare(tmp_path / "photos", tmp_path / "lists", shortest=5)


def test_joined_recordings_become_clips_whose_times_go_on(tmp_path):
    parts = [film(tmp_path / f"{i}.ts", pan(i, 20)).read_bytes() for i in range(2)]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    clips, _ = prepare(tmp_path / "a.ts", tmp_path / "lists")
    assert numbers(clips) == [list(range(20)), list(range(20, 40))]
    times = [time for clip in clips["clips"] for time in clip["times"]]
    assert times == pytest.approx([i / 25 for i in range(40)], abs=1e-3)
    assert clips["fps"] == pytest.approx(25, abs=1e-3)


def with_vehicle(frames):
    """The lowest sixth is the ego vehicle."""
    for frame in frames:
        frame[:, HEIGHT * 5 // 6 :] = 20
    return frames


def test_the_ego_vehicle_is_written_as_a_mask_that_the_reader_takes(tmp_path):
    clips, text = prepare(film(tmp_path / "a.mp4", with_vehicle(pan(0, 30))), tmp_path / "lists")
    assert clips["mask"] == "masks/a.png"
    assert "of the picture, at the bottom (masks/a.png); leave it in: --mask none" in " ".join(text.split())
    mask = read_image(tmp_path / "lists" / "masks" / "a.png")[0]
    assert mask.shape == (HEIGHT, WIDTH)
    assert not mask[HEIGHT * 5 // 6 :].any()
    assert (mask[: HEIGHT * 5 // 6 - 4] == 255).all()
    settings = VideoData((str(tmp_path / "lists" / "a.clips.json"),), fov=60.0, hold_out=0.0)
    found = VideoReader(settings, ReadOptions(48, 80), "train").frame(0, 0).valid_mask
    assert torch.equal(found, F.max_pool2d(255.0 - mask[None], 2)[0] == 0)
    (tmp_path / "lists" / "a.clips.json").unlink()
    with pytest.raises(InputError, match=r"a\.png: exists, without its list"):
        prepare(tmp_path / "a.mp4", tmp_path / "lists")


def test_a_mask_is_no_frame_of_the_folder_into_which_the_list_is_written(tmp_path):
    for i, frame in enumerate(with_vehicle(pan(0, 24))):
        write_image(tmp_path / "walk" / f"{i}.png", frame)
    assert prepare(tmp_path / "walk", tmp_path / "walk")[0]["mask"] == "masks/walk.png"
    assert prepare(tmp_path / "walk", tmp_path / "walk")[0]["frames"] == 24
