from dataclasses import replace

import av
import pytest
import torch

from mono2many.io.images import resize_image
from mono2many.io.videos import VideoInfo, VideoWriter, probe_video, timed_frames, video_frames
from mono2many.types import InputError

FRAMES = 30


def grey(value, height=48, width=64):
    return torch.full((3, height, width), value, dtype=torch.uint8)


def make(path, frames=FRAMES, rotation=0, **options):
    """Frame i is noise around grey level 4 i + 40, so that bytes are spread over the whole file."""
    noise = torch.Generator().manual_seed(0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            picture = torch.randint(-30, 31, (48, 64, 3), generator=noise) + 4 * i + 40
            if rotation:
                picture[:, :32] = 255  # the left half is bright
            frame = av.VideoFrame.from_ndarray(picture.clamp(0, 255).to(torch.uint8).numpy(), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def good_frames(path):
    """Frames that came before the complaint, and the complaint."""
    arrived = []
    with pytest.raises(InputError, match=path.name) as caught:
        arrived.extend(video_frames(path))  # extend keeps what came before the exception
    assert "\n" not in str(caught.value)
    return len(arrived), str(caught.value)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_all_frames_of_a_video_arrive_in_order(tmp_path, name):
    path = make(tmp_path / name)
    means = [frame.float().mean().item() for frame in video_frames(path)]
    assert means == pytest.approx([4 * i + 40 for i in range(FRAMES)], abs=4)
    info = probe_video(path)
    assert (info.width, info.height, info.frames) == (64, 48, FRAMES)
    assert info.fps == pytest.approx(25)


def test_frames_can_be_taken_from_the_middle_on(tmp_path):
    frames = list(video_frames(make(tmp_path / "a.mp4"), start=20))
    assert len(frames) == 10
    assert frames[0].float().mean().item() == pytest.approx(120, abs=4)


def test_an_mp4_whose_index_at_the_end_is_lost_cannot_be_opened(tmp_path):
    count, message = good_frames(cut(make(tmp_path / "late.mp4"), 0.7))
    assert count == 0
    assert "0 good frames" in message
    assert "copy it again" in message


@pytest.mark.parametrize("name", ["early.mp4", "a.mkv"])
def test_a_video_cut_short_gives_its_good_frames_and_then_says_how_many(tmp_path, name):
    options = {"movflags": "faststart"} if name == "early.mp4" else {}
    path = cut(make(tmp_path / name, **options), 0.7)
    count, message = good_frames(path)
    assert 5 < count < FRAMES
    assert f"after {count} good frames" in message
    assert "ffmpeg -i" in message
    with pytest.raises(InputError, match=f"after {count} good frames"):
        probe_video(path)


def test_a_video_that_lacks_only_its_last_bytes_lacks_one_frame(tmp_path):
    path = make(tmp_path / "a.mp4", movflags="faststart")
    path.write_bytes(path.read_bytes()[:-2])
    assert good_frames(path)[0] == FRAMES - 1


@pytest.mark.parametrize("content", [None, b"", b"this is no video" * 100])
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    assert good_frames(path)[0] == 0
    with pytest.raises(InputError, match=r"bad\.mp4"):
        probe_video(path)


@pytest.mark.parametrize(
    ("degrees", "bright"),
    [
        (90, (slice(16 * 2, 64), slice(None))),  # a quarter turn counterclockwise: left goes down
        (180, (slice(None), slice(32, 64))),
        (-90, (slice(0, 32), slice(None))),
    ],
)
def test_a_video_recorded_with_a_turned_phone_comes_upright(tmp_path, degrees, bright):
    path = make(tmp_path / "turned.mp4", frames=3, rotation=degrees)
    frame = next(video_frames(path))
    info = probe_video(path)
    assert (info.height, info.width) == tuple(frame.shape[1:])
    assert frame.shape[1:] == ((48, 64) if degrees == 180 else (64, 48))
    assert frame[0].float()[bright].mean() > 200
    assert frame.float().mean() < 180


def test_a_written_video_comes_back_with_its_colours(tmp_path):
    image = grey(30)
    image[0] = 200
    with VideoWriter(tmp_path / "new" / "w.mp4", fps=29.97) as video:
        for _ in range(4):
            video.write(image)
    frames = list(video_frames(tmp_path / "new" / "w.mp4"))
    assert len(frames) == 4
    assert (frames[2].int() - image.int()).abs().max() <= 4
    assert probe_video(tmp_path / "new" / "w.mp4").fps == pytest.approx(29.97, abs=0.01)


def test_frames_are_written_at_their_times_where_no_rate_gives_them(tmp_path):
    times = (0.0, 0.04, 0.08, 0.28, 0.36)
    with VideoWriter(tmp_path / "w.mp4", 5 / 0.4, times) as video:
        for i in range(len(times)):
            video.write(grey(40 * i))
    info = probe_video(tmp_path / "w.mp4")
    assert info.times == pytest.approx(times, abs=1e-4)
    assert info.uneven_times == info.times


def test_times_are_uneven_where_a_frame_is_half_a_frame_off_its_rates():
    even = VideoInfo(64, 48, 25.0, 4, (5.0, 5.041, 5.079, 5.12))  # as containers round them
    assert even.uneven_times == ()
    assert even.since_first == pytest.approx((0.0, 0.041, 0.079, 0.12))
    late = replace(even, times=(5.0, 5.04, 5.11, 5.15))  # the third is 0.03 s late: 0.75 frames
    assert late.uneven_times == pytest.approx((0.0, 0.04, 0.11, 0.15))
    assert VideoInfo(64, 48, 25.0, 4, ()).uneven_times == ()


def test_odd_sides_are_made_even(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4", fps=10.0) as video:
        video.write(grey(100, 47, 63))
    frame = next(video_frames(tmp_path / "odd.mp4"))
    assert frame.shape == (3, 48, 64)
    assert (frame.int() - 100).abs().max() <= 2


@pytest.mark.parametrize("width", [64, 63])
def test_a_smaller_image_is_shown_beside_a_frame_at_its_size(tmp_path, width):
    left = torch.zeros(3, 48, width, dtype=torch.uint8)
    left[0], left[1, :24] = 200, 180
    right = torch.tensor([[20, 220], [120, 60]], dtype=torch.uint8).expand(3, 2, 2).repeat_interleave(6, 1)
    with VideoWriter(tmp_path / "w.mp4", fps=10.0, preset="ultrafast") as video:
        video.write(left, right.repeat_interleave(8, 2))
    read = next(iter(video_frames(tmp_path / "w.mp4")))
    assert read.shape == (3, 48, 128)
    for row, column, colour in [(8, 20, (200, 180, 0)), (40, 60, (200, 0, 0)),
                                (8, 76, (20, 20, 20)), (8, 116, (220, 220, 220)),
                                (40, 76, (120, 120, 120)), (40, 116, (60, 60, 60))]:  # fmt: skip
        assert (read[:, row, column].float() - torch.tensor(colour)).abs().max() < 12, (row, column)


def test_a_video_that_cannot_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"w\.mp4"):
        VideoWriter(tmp_path / "file" / "w.mp4", fps=25.0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_frames_come_with_their_times_which_are_known_without_decoding(tmp_path, name):
    path = make(tmp_path / name)
    times = tuple(time for time, _ in timed_frames(path))
    assert times == pytest.approx([times[0] + i / 25 for i in range(FRAMES)], abs=1e-3)
    assert probe_video(path).times in (times, ())  # some containers hold no times


@pytest.mark.parametrize(("rotation", "size"), [(0, (24, 32)), (90, (43, 32)), (180, (24, 32))])
def test_frames_can_be_shrunk_while_they_are_converted(tmp_path, rotation, size):
    path = make(tmp_path / "a.mp4", frames=3, rotation=rotation)
    _, small = next(timed_frames(path, width=32))
    assert small.shape[1:] == size
    whole = resize_image(next(video_frames(path)), size)
    assert (small.float() - whole.float()).abs().mean() < 6
    assert next(timed_frames(path, width=100))[1].shape == next(video_frames(path)).shape
