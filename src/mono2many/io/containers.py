"""Video files as FFmpeg's containers: which track is read, whether it is whole, what to know of it."""

import mmap
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mono2many.errors import warn
from mono2many.files import explained
from mono2many.types import InputError

HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of high dynamic range, by their numbers in H.273."""
NO_VIDEOS = ("tty", "image2")
"""What FFmpeg also plays: text, and single images (with all formats that end in _pipe)."""
JOINABLE = {"mov,mp4,m4a,3gp,3g2,mj2": 1, "flv": 1, "asf": 1, "matroska,webm": 2}
"""How many files of a format FFmpeg reads where they were joined byte by byte; of others all, or it fails."""


class DamagedError(Exception):
    """The container says that something is missing."""


def open_video(path: str | Path) -> InputContainer:
    """InputError where the file is missing, no video, or so damaged that FFmpeg cannot make sense of it."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such video file; check the path")
    remedy = f"copy it again, or convert it: ffmpeg -i {shlex.quote(str(path))} -c:v libx264 -crf 18 new.mp4"
    wrong = (av.FFmpegError, OSError, ValueError, IndexError)
    with explained(f"{path}: cannot be opened as a video, 0 good frames", remedy, wrong):
        container = av.open(str(Path(path).absolute()))  # `12:30.mp4` alone looks like a protocol
    name = container.format.name
    if name in NO_VIDEOS or name.endswith("_pipe") or not _tracks(container):
        container.close()
        raise InputError(f"{path}: holds no video, 0 good frames; check the path, or record it again")
    return container


def _tracks(container: InputContainer) -> list[VideoStream]:
    """Those that can be decoded, without cover pictures."""
    cover = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
    return [s for s in container.streams.video if s.codec_context is not None and not s.disposition & cover]


def best_track(container: InputContainer) -> VideoStream:
    """Rather than a single image the one of most pixels, then the default, then the first."""

    def rank(s: VideoStream) -> tuple[bool, int, bool]:
        return s.frames != 1, s.width * s.height, bool(s.disposition & Disposition.default)

    return max(_tracks(container), key=rank)


def warn_of_tracks(path: str | Path, container: InputContainer, used: VideoStream) -> None:
    def named(s: VideoStream) -> str:
        if s.codec_context is None:
            return f"track {s.index} (unknown codec)"
        return f"track {s.index} ({s.width}x{s.height} {s.codec_context.name})"

    others = [named(s) for s in container.streams.video if s is not used]
    if others:
        warn(
            f"{path}: {named(used)} is read, not {', '.join(others)}; to have another: "
            f"ffmpeg -i {shlex.quote(str(path))} -map 0:NUMBER new.mp4"
        )


def warn_of_kind(path: str | Path, frames: list[av.VideoFrame]) -> None:
    """Of frames that are interlaced or of high dynamic range."""
    convert = f"convert it: ffmpeg -i {shlex.quote(str(path))} -vf"
    encode = "-c:v libx264 -crf 18 new.mp4"
    if any(frame.interlaced_frame for frame in frames):
        warn(f"{path}: is interlaced: each frame holds two moments, as a comb; {convert} yadif {encode}")
    if kind := HDR.get(frames[0].color_trc):
        tone = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable,zscale=t=bt709:m=bt709"
        warn(
            f"{path}: is HDR ({kind}), whose colours are read pale and without contrast; "
            f"{convert} {tone}:r=tv,format=yuv420p {encode}"
        )


def packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """The stream's packets; DamagedError after the last good one if the container promised more."""
    # MP4's index also obeys edit lists, which the header's count does not.
    promised = len(stream.index_entries) if "mp4" in container.format.name else 0
    count = 0
    held: list[av.Packet] = []
    for packet in container.demux(stream):
        held += [packet] if packet.size else []
        if held and held[0].is_corrupt and not _joint(held):
            if len(held) <= 2:
                continue
            break
        yield from held
        count, held = count + len(held), []
    if held:
        raise DamagedError("the file ends inside a frame, or bytes are missing")
    if count < promised:
        raise DamagedError(f"its header promises {promised} frames")
    if "matroska" in container.format.name and _matroska_is_cut(Path(container.name)):
        raise DamagedError("it is shorter than its header says")
    name = container.format.name
    if name in JOINABLE and _joined_files(Path(container.name)) > JOINABLE[name]:
        raise DamagedError("then another video follows, joined byte by byte; join with ffmpeg -f concat")


def _joint(packets: list[av.Packet]) -> bool:
    """Whether the first packet, which FFmpeg calls corrupt because a transport stream's counter does not
    go on after it, ends a recording that another was joined to."""
    first, *later = packets
    starts = ((p.is_keyframe and not first.is_keyframe) or (p.dts or 0) < (first.dts or 0) for p in later)
    return first.stream.container.format.name == "mpegts" and any(starts)


def _joined_files(path: Path) -> int:
    """How often the file's first bytes stand in it."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return sum(1 for _ in re.finditer(re.escape(data[:16]), data))


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
