"""Videos in and out, one frame after the other: decoded by PyAV (FFmpeg), written as H.264 in MP4."""

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.stream import VideoStream
from jaxtyping import UInt8
from torch import Tensor

from mono2many.files import explained, reason, writing
from mono2many.types import InputError

ONE_PACKET_ONE_FRAME = ("h264", "hevc", "av1", "mjpeg", "prores", "ffv1")
"""Codecs whose frames can be counted without decoding, where the file starts at a key frame."""


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
    """When they are shown, in seconds; empty where the file does not say."""


def video_frames(path: str | Path, start: int = 0) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """The frames in order, from number `start` on: RGB, 0 to 255, upright. The tensors are views with the
    channels last in memory, as decoders and `resize_image` like them. InputError at the first frame where the
    file is missing or no video; InputError after the last good frame where it is damaged or cut short, with
    the number of good frames."""
    return (_rgb(frame, _quarter_turns(frame)) for frame in islice(_decoded(path), start, None))


def timed_frames(
    path: str | Path, width: int | None = None
) -> Iterator[tuple[float | None, UInt8[Tensor, "3 H W"]]]:
    """As `video_frames`, each with its time in seconds (None where the file does not say), at most `width`
    pixels wide: shrinking while converting is much faster than afterwards."""
    for frame in _decoded(path):
        time, turns = frame.time, _quarter_turns(frame)  # which a shrunk frame does not know
        height, shown = _upright_size(frame)
        if width is None or shown <= width:
            image = _rgb(frame, turns)
        else:
            size = width, max(1, round(height * width / shown))
            small = frame.reformat(*(size[::-1] if turns % 2 else size), interpolation="AREA")
            image = _rgb(small, turns).contiguous()
        yield None if time is None else float(time), image


def probe_video(path: str | Path) -> VideoInfo:
    """Size, rate, exact number of frames and their times. Reads the whole file once; for H.264, HEVC and AV1
    in MP4, MKV or AVI it decodes a few frames only, else all of them. InputError where the file is missing,
    no video, damaged or cut short (with the number of good frames)."""
    first = next(_decoded(path), None)
    if first is None:
        raise InputError(f"{path}: the video holds no frame that can be decoded; record or convert it again")
    height, width = _upright_size(first)
    times: list[float | None] | None = None
    with _opened(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        if stream.codec_context.name in ONE_PACKET_ONE_FRAME and container.format.name != "mpegts":
            with suppress(_DamagedError, av.FFmpegError):
                times = [_shown_at(packet) for packet in _packets(container, stream) if not packet.is_discard]
    if times is None:  # of a damaged file only the decoder knows how many frames are good: it will complain
        times = [frame.time for frame in _decoded(path)]
    known = sorted(time for time in times if time is not None)
    return VideoInfo(width, height, fps, len(times), tuple(known) if len(known) == len(times) else ())


class VideoWriter:
    """Writes frames to an MP4 file (H.264, yuv420p: plays everywhere).

        with VideoWriter("depth.mp4", fps=25) as video:
            video.write(image)

    All frames have the first one's size; an odd side is made even by repeating its last row or column.
    The file is there when the block has ended without an error. InputError where it cannot be written.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        assert fps > 0, f"frames per second must be positive, got {fps}"
        self.path = Path(path)
        self.rate = Fraction(fps).limit_denominator(1001)
        self.stream: VideoStream | None = None
        self.size: tuple[int, ...] = ()
        self._files = ExitStack()
        temporary = self._files.enter_context(writing(path))
        self._sink = _Sink(self._files.enter_context(temporary.open("wb", buffering=0)))
        self.container = av.open(self._sink, "w", format="mp4")

    def write(self, image: UInt8[Tensor, "3 H W"]) -> None:
        """Appends one frame: RGB, 0 to 255. Where the disk is full, OSError: the block makes InputError of
        it."""
        height, width = image.shape[1:]
        if self.stream is None:
            self.size = (height, width)
            self.stream = self._new_stream(height + height % 2, width + width % 2)
        assert (height, width) == self.size, f"frame of {(height, width)} in a video of {self.size}"
        pixels = image.detach().cpu().permute(1, 2, 0).numpy()
        even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        self._mux(self.stream, rgb.reformat(format="yuv420p", dst_colorspace="ITU709"))

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
        options = {"crf": "18", "preset": "veryfast"} if x264 else {"qscale": "3"}
        stream = self.container.add_stream("libx264" if x264 else "mpeg4", rate=self.rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        context = stream.codec_context
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


class _DamagedError(Exception):
    """The container says that something is missing."""


def _decoded(path: str | Path) -> Iterator[av.VideoFrame]:
    """All frames that can be decoded, then InputError if that is not all of them."""
    good, damage = 0, ""
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for packet in _packets(container, stream):
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise _DamagedError("a frame lacks data")
                    good += 1
                    yield frame
        except (_DamagedError, av.FFmpegError) as error:
            damage = reason(error)
        try:
            for frame in stream.decode(None):  # what the decoder still holds
                frame.time_base = stream.time_base  # which these frames do not know
                good += 1
                yield frame
        except av.FFmpegError as error:
            damage = damage or reason(error)
    if damage:
        source, kept = (shlex.quote(str(name)) for name in (path, f"good_{Path(path).stem}.mp4"))
        keep = f", or keep the good part: ffmpeg -i {source} -frames:v {good} -c:v libx264 -crf 18 {kept}"
        raise InputError(
            f"{path}: the video is damaged or cut short after {good} good frames ({damage}); "
            f"copy it again{keep if good else ''}"
        )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """The stream's packets; _DamagedError after the last good one if the container promised more."""
    # MP4's index also obeys edit lists, which the header's count does not.
    promised = len(stream.index_entries) if "mp4" in container.format.name else 0
    count = 0
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise _DamagedError("the file ends inside a frame, or bytes are missing")
        count += 1
        yield packet
    if count < promised:
        raise _DamagedError(f"its header promises {promised} frames")
    if "matroska" in container.format.name and _matroska_is_cut(Path(container.name)):
        raise _DamagedError("it is shorter than its header says")


def _shown_at(packet: av.Packet) -> float | None:
    """Seconds."""
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base)


def _matroska_is_cut(path: Path) -> bool:
    """True where the file is shorter than its Segment element says (RFC 8794; size all ones = not known)."""
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.find(b"\x18\x53\x80\x67") + 4
    if start < 4 or not head[start]:
        return False
    end = start + 9 - head[start].bit_length()
    not_known = (1 << 7 * (end - start)) - 1
    size = int.from_bytes(head[start:end], "big") & not_known
    return size != not_known and end + size > path.stat().st_size


def _opened(path: str | Path) -> InputContainer:
    """InputError where the file is missing, no video, or so damaged that FFmpeg cannot make sense of it."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such video file; check the path")
    remedy = f"copy it again, or convert it: ffmpeg -i {shlex.quote(str(path))} -c:v libx264 -crf 18 new.mp4"
    wrong = (av.FFmpegError, OSError, ValueError, IndexError)
    with explained(f"{path}: cannot be opened as a video, 0 good frames", remedy, wrong):
        container = av.open(str(Path(path).absolute()))  # `12:30.mp4` alone looks like a protocol
    if not container.streams.video:
        container.close()
        raise InputError(f"{path}: holds no video stream, 0 good frames: {remedy}")
    return container


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
