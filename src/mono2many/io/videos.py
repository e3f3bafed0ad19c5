"""Videos in and out, one frame after the other: decoded by PyAV (FFmpeg), written as H.264 in MP4."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import av
import torch
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8
from torch import Tensor

from mono2many.files import explained, reason, writing
from mono2many.geometry.camera import Display
from mono2many.io.containers import (
    DamagedError,
    best_track,
    open_video,
    packets,
    warn_of_kind,
    warn_of_tracks,
)
from mono2many.io.yuv import as_yuv, side_by_side
from mono2many.types import InputError

ONE_PACKET_ONE_FRAME = ("h264", "hevc", "av1", "mjpeg", "prores", "ffv1")
"""Codecs whose frames can be counted without decoding, where the file starts at a key frame."""
PLAUSIBLE_RATES = (0.01, 1000)
USUAL_RATE = 25.0
"""Frames per second."""
TICKS = 90_000
"""Of a second, in which the times of frames are written that no rate gives."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds."""

    width: int
    height: int
    """Pixels, as shown: after the rotation that the file asks for."""
    fps: float
    """Frames per second, on average."""
    frames: int
    """Counted, not taken from the header."""
    times: tuple[float, ...]
    """When they are shown, in seconds; empty where the file does not say. Where recordings were joined, the
    later ones' go on from the earlier's."""

    @property
    def since_first(self) -> tuple[float, ...]:
        """The times less the first one: players begin there."""
        return tuple(time - self.times[0] for time in self.times)

    @property
    def uneven_times(self) -> tuple[float, ...]:
        """The same; empty where each frame is less than half a frame from where `fps` puts it."""
        off = (abs(time - i / self.fps) for i, time in enumerate(self.since_first))
        return self.since_first if max(off, default=0.0) * self.fps > 0.5 else ()


def video_frames(path: str | Path, start: int = 0) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """The frames in order, from number `start` on: RGB, 0 to 255, upright. The tensors are views with the
    channels last in memory, as decoders and `resize_image` like them. InputError at the first frame where the
    file is missing or no video; InputError after the last good frame where it is damaged or cut short, or the
    frames have another size from there on, with the number of good frames."""
    return (_rgb(frame, _quarter_turns(frame)) for _, frame in islice(_decoded(path), start, None))


def timed_frames(
    path: str | Path, width: int | None = None
) -> Iterator[tuple[float | None, UInt8[Tensor, "3 H W"]]]:
    """As `video_frames`, each with its time in seconds (None where the file does not say), at most `width`
    pixels wide: shrinking while converting is much faster than afterwards."""
    for time, frame in _decoded(path):
        turns = _quarter_turns(frame)  # which a shrunk frame does not know
        height, shown = _upright_size(frame)
        if width is None or shown <= width:
            image = _rgb(frame, turns)
        else:
            size = width, max(1, round(height * width / shown))
            small = frame.reformat(*(size[::-1] if turns % 2 else size), interpolation="AREA")
            image = _rgb(small, turns).contiguous()
        yield time, image


def probe_video(path: str | Path) -> VideoInfo:
    """Size, rate, exact number of frames and their times. Reads the whole file once; for H.264, HEVC and AV1
    in MP4, MKV or AVI it decodes a few frames only, else all of them. Warns of tracks that are not read and
    of frames that should be converted first. InputError where the file is missing, no video, damaged or cut
    short (with the number of good frames)."""
    first = [frame for _, frame in islice(_decoded(path), 8)]
    if not first:
        raise InputError(f"{path}: the video holds no frame that can be decoded; record or convert it again")
    height, width = _upright_size(first[0])
    times: list[float | None] | None = None
    with open_video(path) as container:
        stream = best_track(container)
        rates = stream.average_rate, stream.guessed_rate
        warn_of_tracks(path, container, stream)
        if stream.codec_context.name in ONE_PACKET_ONE_FRAME and container.format.name != "mpegts":
            with suppress(DamagedError, av.FFmpegError):
                times = _packet_times(container, stream)
    warn_of_kind(path, first)
    if times is None:  # of a damaged file only the decoder knows how many frames are good: it will complain
        times = [time for time, _ in _decoded(path)]
    known = tuple(sorted(time for time in times if time is not None))
    known = known if len(known) == len(times) else ()
    return VideoInfo(width, height, _rate(rates, known), len(times), known)


def _rate(rates: tuple[Fraction | None, ...], times: tuple[float, ...]) -> float:
    """Frames per second: what the file says, or its times where that is not plausible."""
    apart = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0
    for rate in (*rates, 1 / apart if apart else 0):
        if rate and PLAUSIBLE_RATES[0] <= rate <= PLAUSIBLE_RATES[1]:
            return float(rate)
    return USUAL_RATE


def video_display(path: str | Path) -> Display:
    """How the video's frames are shown: `video_frames` turns them, but leaves their pixels as they are.
    Decodes one frame. InputError where the file is missing or no video."""
    _, first = next(_decoded(path), (None, None))
    turns = 0 if first is None else _quarter_turns(first)
    with open_video(path) as container:
        aspect = float(best_track(container).sample_aspect_ratio or 1)
    return Display(turns, 1 / aspect if turns % 2 else aspect)


class VideoWriter:
    """Writes frames to an MP4 file (H.264, yuv420p: plays everywhere).

        with VideoWriter("depth.mp4", fps=25) as video:
            video.write(image)

    All frames have the first one's size; an odd side is made even by repeating its last row or column.
    times: of each frame, in seconds, where `fps` does not give them. x264: its options, such as
    preset="ultrafast" for speed, maxrate and bufsize (bits) for small files.
    The file is there when the block has ended without an error. InputError where it cannot be written.
    """

    def __init__(self, path: str | Path, fps: float, times: Sequence[float] = (), **x264: str) -> None:
        assert fps > 0, f"frames per second must be positive, got {fps}"
        self.times, self.count, self.x264 = times, 0, x264
        self.path = Path(path)
        self.rate = Fraction(fps).limit_denominator(1001)
        self.stream: VideoStream | None = None
        self.size: tuple[int, ...] = ()
        self._files = ExitStack()
        temporary = self._files.enter_context(writing(path))
        self._sink = _Sink(self._files.enter_context(temporary.open("wb", buffering=0)))
        self.container = av.open(self._sink, "w", format="mp4")

    def write(self, image: UInt8[Tensor, "3 H W"], beside: UInt8[Tensor, "3 h w"] | None = None) -> None:
        """Appends one frame: RGB, 0 to 255. `beside` is shown to the right of it, at its size. Where the disk
        is full, OSError: the block makes InputError of it."""
        height, width = (side + side % 2 for side in image.shape[1:])
        if self.stream is None:
            self.size = tuple(image.shape[1:])
            self.stream = self._new_stream(height, width if beside is None else 2 * width)
        assert image.shape[1:] == self.size, f"frame of {image.shape[1:]} in a video of {self.size}"
        frame = as_yuv(image, height, width)
        if beside is not None:
            frame = side_by_side(frame, as_yuv(beside, height, width))
        if self.times:
            frame.pts = round(self.times[self.count] * TICKS)
            frame.time_base = Fraction(1, TICKS)
        self.count += 1
        self._mux(self.stream, frame)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            stack.push(self._files)  # which also get to know what goes wrong here
            try:
                if error is not None:
                    raise error
                assert self.stream is not None, f"{self.path}: a video without frames"
                self._mux(self.stream, None)
            finally:
                self.container.close()
            self._sink.check()

    def _new_stream(self, height: int, width: int) -> VideoStream:
        x264 = "libx264" in av.codecs_available
        options = {"crf": "20", "preset": "superfast", **self.x264} if x264 else {"qscale": "3"}
        stream = self.container.add_stream("libx264" if x264 else "mpeg4", rate=self.rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        context = stream.codec_context
        if self.times:
            context.time_base = Fraction(1, TICKS)
        context.color_range = 1  # limited
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709, as converted above
        return stream

    def _mux(self, stream: VideoStream, frame: av.VideoFrame | None) -> None:
        with explained(f"{self.path}: cannot be encoded", "try frames of another size", (av.FFmpegError,)):
            self.container.mux(stream.encode(frame))
        self._sink.check()


class _Sink:
    """A file that FFmpeg writes to, and that never fails for it: it crashes while it closes one that did."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None
        self.seek, self.tell = file.seek, file.tell

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while self.error is None and rest:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def check(self) -> None:
        """Raises what went wrong."""
        if self.error is not None:
            raise self.error


def _decoded(path: str | Path) -> Iterator[tuple[float | None, av.VideoFrame]]:
    """All frames that can be decoded, with their times in seconds, which never go back; then InputError if
    that is not all of them, or at the first of another size."""
    good, damage, size = 0, "", None
    last, step, shift = None, 0.0, 0.0
    with open_video(path) as container:
        for frame in _frames_and_damage(container, best_track(container)):
            if isinstance(frame, str):
                damage = damage or frame
                continue
            if size not in (None, _upright_size(frame)):
                raise InputError(_other_size(path, good, size, frame))
            good, size = good + 1, _upright_size(frame)
            time = None if frame.time is None else float(frame.time) + shift
            if time is not None:
                if last is not None and time < last:  # another recording was joined
                    shift += last + step - time
                    time = last + step
                last, step = time, step if last is None or time == last else time - last
            yield time, frame
    if damage:
        raise InputError(
            f"{path}: the video is damaged or cut short after {good} good frames ({damage}); "
            f"copy it again{f', or keep the good part: {_first(path, good)}' if good else ''}"
        )


def _frames_and_damage(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | str]:
    """The stream's frames; in between what is wrong with the file, at most twice."""
    stream.thread_type = "AUTO"
    try:
        for packet in packets(container, stream):
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise DamagedError("a frame lacks data")
                yield frame
    except (DamagedError, av.FFmpegError) as error:
        yield reason(error)
    try:
        for frame in stream.decode(None):  # what the decoder still holds
            frame.time_base = stream.time_base  # which these frames do not know
            yield frame
    except av.FFmpegError as error:
        yield reason(error)


def _other_size(path: str | Path, good: int, size: tuple[int, int], frame: av.VideoFrame) -> str:
    """The message."""
    (height, width), (now_high, now_wide) = size, _upright_size(frame)
    scaled = f"ffmpeg -i {shlex.quote(str(path))} -vf scale={width}:{height} -c:v libx264 -crf 18 new.mp4"
    scale = f", or scale the rest: {scaled}" if abs(now_wide * height / (now_high * width) - 1) < 0.02 else ""
    return (
        f"{path}: frame {good} is {now_wide}x{now_high}, those before are {width}x{height}; keep the part of "
        f"one size: {_first(path, good)}{scale}"
    )


def _first(path: str | Path, frames: int) -> str:
    """The command that keeps so many frames."""
    source, kept = (shlex.quote(str(name)) for name in (path, f"good_{Path(path).stem}.mp4"))
    return f"ffmpeg -i {source} -frames:v {frames} -c:v libx264 -crf 18 {kept}"


def _quarter_turns(frame: av.VideoFrame) -> int:
    """How often the stored image is to be turned counterclockwise by 90 degrees."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """(height, width) as shown."""
    return (frame.width, frame.height) if _quarter_turns(frame) % 2 else (frame.height, frame.width)


def _rgb(frame: av.VideoFrame, turns: int) -> UInt8[Tensor, "3 H W"]:
    """Turned counterclockwise so many times by 90 degrees."""
    image = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    return image.rot90(turns, (1, 2)) if turns else image


def _packet_times(container: InputContainer, stream: VideoStream) -> list[float | None]:
    """In decoding order. DamagedError where it goes back: recordings were joined."""
    found, last = list[float | None](), None
    for packet in packets(container, stream):
        if last is not None and packet.dts is not None and packet.dts < last:
            raise DamagedError("joined")
        last = packet.dts
        if not packet.is_discard:
            found.append(_shown_at(packet))
    return found


def _shown_at(packet: av.Packet) -> float | None:
    """Seconds."""
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base)
