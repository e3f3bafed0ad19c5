"""Kinds of video files, made by PyAV."""

import warnings
from itertools import pairwise

import av
import pytest
import torch
from av.stream import Disposition

from mono2many.errors import InputWarning
from mono2many.io.videos import probe_video, timed_frames, video_frames
from mono2many.predict.inputs import list_inputs
from mono2many.types import InputError

FRAMES = 8


def noise(width, height, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (height, width, 3), generator=random).to(torch.uint8).numpy()


def record(
    path,
    codec="libx264",
    format=None,
    tracks=((64, 48),),
    pixels="yuv420p",
    options=None,
    cover=(),
    moving=False,
):
    """Some frames of noise in each track, the same or `moving`; `cover`: the numbers of cover pictures."""
    with av.open(str(path), "w", format=format) as container:
        streams = []
        for number, (width, height) in enumerate(tracks):
            name = "mjpeg" if number in cover else codec
            stream = container.add_stream(name, rate=25, options=options or {})
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuvj420p" if number in cover else pixels
            if number in cover:
                stream.disposition = Disposition.attached_pic
            streams.append(stream)
        for number, stream in enumerate(streams):
            for i in range(1 if number in cover else FRAMES):
                image = noise(stream.width, stream.height, i * moving)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode(None))
    return path


def joined(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def complaint(path):
    """The one line that every way of reading ends with."""
    said = set()
    for read in (video_frames, timed_frames):
        with pytest.raises(InputError, match=path.name) as caught:
            list(read(path))
        said.add(str(caught.value))
    (line,) = said
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("name", "codec", "format", "pixels"),
    [
        ("a.gif", "gif", "gif", "rgb8"),
        ("a.3gp", "mpeg4", "3gp", "yuv420p"),
        ("a.flv", "flv", "flv", "yuv420p"),
        ("a.m2ts", "libx264", "mpegts", "yuv420p"),
        ("a.ogv", "libvpx", "ogv", "yuv420p"),
        ("a.vob", "mpeg2video", "vob", "yuv420p"),
        ("a.y4m", "wrapped_avframe", "yuv4mpegpipe", "yuv420p"),
        ("a.mxf", "mpeg2video", "mxf", "yuv420p"),
        ("a.asf", "wmv2", "asf", "yuv420p"),
        ("a.mov", "prores_ks", "mov", "yuv422p10le"),
        ("a.nut", "ffv1", "nut", "gray16le"),
        ("a.hevc", "mpeg4", "m4v", "yuv420p"),
        ("without_suffix", "libx264", "mp4", "yuv420p"),
        ("a.unknown", "libx264", "matroska", "yuv420p"),
    ],
)
def test_predict_reads_what_prepare_reads(tmp_path, name, codec, format, pixels):
    path = record(tmp_path / name, codec, format, pixels=pixels)
    info = probe_video(path)
    assert (info.width, info.height, info.frames) == (64, 48, FRAMES)
    assert info.fps == pytest.approx(25)
    (found,) = list_inputs([str(path)])
    frames, fps, uneven = found.frames()
    assert fps == pytest.approx(25)
    assert uneven == ()
    times, images = zip(*frames, strict=True)
    assert [image.shape for image in images] == [(3, 48, 64)] * FRAMES
    assert times == pytest.approx([times[0] + i / 25 for i in range(FRAMES)], abs=2e-3)


@pytest.mark.parametrize("content", [b"some words\n" * 40, b"", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n"])
def test_text_is_no_video(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"notes\.txt: neither an image nor a video"):
        list_inputs([str(tmp_path / "notes.txt")])
    complaint(tmp_path / "notes.txt")


def test_a_cover_picture_and_a_preview_are_named_and_not_read(tmp_path):
    path = record(tmp_path / "a.mkv", tracks=((32, 16), (64, 48)))
    with pytest.warns(InputWarning, match=r"track 1 \(64x48 h264\) is read, not track 0 \(32x16 h264\)"):
        assert probe_video(path).frames == FRAMES
    assert next(video_frames(path)).shape == (3, 48, 64)
    path = record(tmp_path / "b.mp4", tracks=((320, 320), (64, 48)), cover=(0,))
    with pytest.warns(InputWarning, match=r"\(64x48 h264\) is read, not track . \(320x320 mjpeg\)"):
        info = probe_video(path)
    assert (info.width, info.height, info.frames) == (64, 48, FRAMES)


def test_a_plain_video_is_read_without_a_word(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert probe_video(record(tmp_path / "a.mp4")).frames == FRAMES


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.h264", "a.gif", "a.m4v"])
def test_joined_recordings_are_read_to_the_end_and_their_times_go_on(tmp_path, name):
    codec = {"a.mpg": "mpeg2video", "a.m4v": "mpeg4", "a.gif": "gif"}.get(name, "libx264")
    options = {"format": "m4v"} if name == "a.m4v" else {}
    part = record(tmp_path / name, codec, pixels="rgb8" if codec == "gif" else "yuv420p", **options)
    path = joined(tmp_path / f"joined_{name}", part, part, part)
    info = probe_video(path)
    assert info.frames == len(list(video_frames(path))) == 3 * FRAMES
    times = [time for time, _ in timed_frames(path)]
    if name != "a.h264":  # which holds no times
        assert info.times == tuple(times)
        assert all(later > time for time, later in pairwise(times))


@pytest.mark.parametrize(
    ("name", "format"), [("a.mp4", "mp4"), ("a.mov", "mov"), ("a.flv", "flv"), ("a.mkv", "matroska")]
)
def test_joined_files_of_which_only_the_first_would_be_read_are_refused(tmp_path, name, format):
    part = record(tmp_path / "part", "libx264", format)
    path = joined(tmp_path / name, part, part, part)
    assert "good frames (then another video follows" in complaint(path)
    with pytest.raises(InputError, match="another video follows"):
        probe_video(path)


@pytest.mark.parametrize(("start", "end"), [(0.3, 0.35), (0.5, 0.55)])
@pytest.mark.parametrize("between", ["1", "100"])  # frames between key frames
def test_a_transport_stream_that_lacks_bytes_is_still_damaged(tmp_path, start, end, between):
    path = record(tmp_path / "a.ts", options={"g": between, "bf": "0"}, moving=True)
    data, packet = path.read_bytes(), 188
    count = len(data) // packet
    path.write_bytes(data[: int(start * count) * packet] + data[int(end * count) * packet :])
    assert "damaged or cut short after" in complaint(path)


@pytest.mark.parametrize(
    ("size", "scaled"), [((48, 64), False), ((32, 24), True), ((128, 96), True), ((64, 46), False)]
)
@pytest.mark.parametrize("name", ["a.h264", "a.ts"])
def test_a_size_that_changes_is_named_with_its_frame(tmp_path, name, size, scaled):
    parts = [record(tmp_path / f"{i}_{name}", tracks=(s,)) for i, s in enumerate([(64, 48), size])]
    path = joined(tmp_path / name, *parts)
    line = complaint(path)
    assert f"frame {FRAMES} is {size[0]}x{size[1]}, those before are 64x48" in line
    assert f"-frames:v {FRAMES}" in line
    assert ("-vf scale=64:48" in line) == scaled


def test_interlaced_and_hdr_videos_are_named_with_the_command_that_converts_them(tmp_path):
    path = record(tmp_path / "a.mp4", options={"x264-params": "interlaced=1"})
    with pytest.warns(InputWarning, match=r"a\.mp4: is interlaced.* -vf yadif"):
        probe_video(path)
    for transfer, name in (("smpte2084", "PQ"), ("arib-std-b67", "HLG")):
        options = {"x264-params": f"transfer={transfer}"}
        path = record(tmp_path / f"{name}.mp4", pixels="yuv420p10le", options=options)
        with pytest.warns(InputWarning, match=rf"is HDR \({name}\).*tonemap"):
            probe_video(path)


def test_a_file_with_a_cover_picture_only_is_no_video(tmp_path):
    path = record(tmp_path / "a.mp4", tracks=((64, 48),), cover=(0,))
    assert "holds no video" in complaint(path)
