"""The speed of a camera from what the video knows: its own tracks, and files of positions beside it.

Speed by Doppler, which receivers measure to a few centimetres per second, is preferred to positions. Those
become speeds on WGS 84's ellipsoid, each the slope of a line through the positions of WINDOW seconds before
and after, which averages noise out. Apple's `mebx` is not read: its keys lie in the sample description, which
FFmpeg does not pass on, and iPhones' camera app stores one place for a whole video.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Discard
from jaxtyping import Float
from numpy import ndarray

from mono2many.files import LARGEST, UNREADABLE, brief, explained, read_text, user_path
from mono2many.io.containers import best_track, open_video
from mono2many.io.gpmf import START, gpmf_points
from mono2many.io.gps_files import Rows, cues_of, gpx_points, instant, nmea_points, subtitle_points
from mono2many.io.speed_file import read_speed
from mono2many.types import InputError

WINDOW = 2.0
GAP = 10.0
"""Seconds: between points that are farther apart nothing is known."""
FASTEST = 400.0
"""Metres per second; more is an error."""
EQUATOR, ECCENTRICITY = 6378137.0, 6.69437999014e-3
"""Of WGS 84: its largest radius in metres, the square of its eccentricity."""
SUFFIXES = (".csv", ".srt", ".nmea", ".txt", ".gpx")
"""Files beside a video, best first."""
TEXTS = ("mov_text", "subrip", "srt", "text", "webvtt", "ass", "ssa")
"""FFmpeg's decoders of subtitles that are text."""
REMEDY = "give another file: .csv with time and speed, .gpx, .nmea or .srt"
Table = dict[str, Float[ndarray, "_"]]
"""`time` since the video's beginning (s) and `speed` (m/s), NaN where unknown; see io/speed_file.py."""


def speed_table(rows: Rows) -> tuple[Table, str]:
    """Rows as in io/gps_files.py as a table, and what its speeds are made of. Raises ValueError where fewer
    than two points have a fix."""
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    time, latitude, longitude, height, speed = rows[np.isfinite(rows[:, 0])].T
    with np.errstate(invalid="ignore"):
        speed = np.where((speed >= 0) & (speed <= FASTEST), speed, np.nan)
        placed = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180) & ((latitude != 0) | (longitude != 0))
    measured, said = np.isfinite(speed), "measured speed"
    if measured.sum() * 2 < (placed | measured).sum():
        placed &= np.isfinite(height)
        speed, said = np.full(len(time), np.nan), "speed from positions"
        ends = np.flatnonzero(np.diff(time[placed]) > GAP) + 1
        for run in np.split(np.flatnonzero(placed), ends):
            speed[run] = speeds_of(time[run], latitude[run], longitude[run], height[run])
        speed = np.where(speed <= FASTEST, speed, np.nan)
    if (known := int(np.isfinite(speed).sum())) < 2:
        raise ValueError(f"{known} of its {len(rows)} points have a speed or a position")
    middles = ((time[1:] + time[:-1]) / 2)[np.diff(time) > GAP]
    at = np.searchsorted(time, middles)
    table = {"time": np.insert(time, at, middles), "speed": np.insert(speed, at, np.nan)}
    return table, f"{said}, {known} of {len(rows)} points"


def speeds_of(
    time: Float[ndarray, "N"],
    latitude: Float[ndarray, "N"],
    longitude: Float[ndarray, "N"],
    height: Float[ndarray, "N"],
) -> Float[ndarray, "N"]:
    """Metres per second at positions (degrees, metres) whose times rise; NaN of a single one."""
    middle = np.radians((latitude[1:] + latitude[:-1]) / 2)
    w = 1 - ECCENTRICITY * np.sin(middle) ** 2
    north = np.radians(np.diff(latitude)) * EQUATOR * (1 - ECCENTRICITY) / w**1.5
    turned = (np.diff(longitude) + 180) % 360 - 180
    east = np.radians(turned) * EQUATOR / np.sqrt(w) * np.cos(middle)
    place = np.cumsum(np.pad([north, east, np.diff(height)], ((0, 0), (1, 0))), axis=1)
    found = np.full(len(time), np.nan)
    for i in range(len(time) if len(time) > 1 else 0):
        first = np.searchsorted(time, time[i] - WINDOW)
        last = np.searchsorted(time, time[i] + WINDOW, "right")
        part = slice(min(first, max(i - 1, 0)), max(last, i + 2))  # both neighbours at least
        t = time[part] - time[part].mean()
        found[i] = np.linalg.norm(place[:, part] @ t) / (t @ t)
    return found


def table_of_file(path: str | Path, video: Path | None = None) -> tuple[Table, str]:
    """The table of a CSV, SRT, NMEA or GPX file, and what it holds and how its times were matched. Times
    since 1970 count from the `video`'s creation, where that lies in them, else from the first point on.
    Raises InputError."""
    path = user_path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES[1:]:
        return read_speed(path), "its columns time and speed"
    with explained(f"{path}: holds no track that can be read", REMEDY, UNREADABLE):
        text, absolute = read_text(path), suffix != ".srt"
        if suffix == ".gpx":
            rows = gpx_points(text)
        elif suffix == ".srt":
            rows = subtitle_points(cues_of(text))
        else:
            rows, absolute = nmea_points(text)
        table, said = speed_table(rows)
        if suffix == ".srt":
            return table, said
        begin, matched = beginning(table["time"], video if absolute else None)
    return table | {"time": table["time"] - begin}, f"{said}, {matched}"


def beginning(time: Float[ndarray, "N"], video: Path | None) -> tuple[float, str]:
    """When the video begins, on the clock of a track's points, and how that is known."""
    assumed = "its first point is taken as the video's beginning"
    if video is None or not video.is_file():
        return float(time[0]), assumed
    with open_video(video) as container:
        said = container.metadata.get("creation_time") or best_track(container).metadata.get("creation_time")
        length = (container.duration or 0) / av.time_base
    try:
        created = instant(said or "")
    except ValueError:
        return float(time[0]), f"{assumed} (the video has no time of creation)"
    if created <= time[-1] and created + length >= time[0]:
        return created, "matched by the video's time of creation"
    return float(time[0]), f"{assumed} (the video's time of creation, {said}, is not among its points)"


def own_tracks(video: Path) -> dict[str, Callable[[], Rows]]:
    """What reads each data and subtitle track of a video, whose times are those of the track."""
    found: dict[str, Callable[[], Rows]] = {}
    wrong = (av.FFmpegError, OSError, ValueError)
    with (
        open_video(video) as container,
        explained(f"{video}: its tracks cannot be read", "copy it again", wrong),
    ):
        for stream, payloads in _payloads(container).items():
            name = f"{stream.type} track {brief(stream.metadata.get('handler_name', ''))}"
            if stream.type == "subtitle":
                skip = 2 if stream.codec_context.name == "mov_text" else 0  # its length
                cues = [(at, data[skip:].decode(errors="replace")) for at, _, data in payloads]
                found[name] = partial(subtitle_points, cues)
            elif payloads and payloads[0][2].startswith(START):
                found[name] = partial(_gpmf_rows, payloads)
            else:
                found[name] = _unknown
    return found


def _gpmf_rows(payloads: list[tuple[float, float, bytes]]) -> Rows:
    return np.concatenate([gpmf_points(data, at, duration) for at, duration, data in payloads])


def _of_track(name: str, read: Callable[[], Rows]) -> tuple[Table, str]:
    with explained(name, REMEDY, UNREADABLE):
        return speed_table(read())


def _unknown() -> Rows:
    raise ValueError("its kind is not read")


def _payloads(container: InputContainer) -> dict[av.stream.Stream, list[tuple[float, float, bytes]]]:
    """Of each data and text track: times since the video's beginning, durations (s) and contents."""
    texts = (s for s in container.streams.subtitles if s.codec_context and s.codec_context.name in TEXTS)
    wanted = [*container.streams.data, *texts]
    found: dict[av.stream.Stream, list[tuple[float, float, bytes]]] = {stream: [] for stream in wanted}
    track, size = best_track(container), 0
    begin = float((track.start_time or 0) * (track.time_base or 0))
    for stream in container.streams:
        if stream not in wanted:
            stream.discard = Discard.all
    for packet in container.demux(wanted) if wanted else ():
        kept, unit = found[packet.stream], packet.time_base
        if packet.pts is None or unit is None or not packet.size:
            continue
        if packet.stream.type == "data" and not kept and not bytes(packet).startswith(START):
            packet.stream.discard = Discard.all
            continue
        size += packet.size
        if size > LARGEST:
            raise ValueError(f"they are larger than {LARGEST >> 20} MiB")
        kept.append((float(packet.pts * unit) - begin, float((packet.duration or 0) * unit), bytes(packet)))
    return found


def find_track(video: Path) -> tuple[Table, str]:
    """The first table that is found for a video, in its own tracks or in a file beside it with its stem, and
    what it is. Raises InputError that names all it looked at."""
    looked: list[tuple[str, Callable[[], tuple[Table, str]]]] = []
    if video.is_file():
        looked += [
            (f"its {name}", partial(_of_track, name, read)) for name, read in own_tracks(video).items()
        ]
    looked += [(str(path), partial(table_of_file, path, video)) for path in files_beside(video)]
    tried = []
    for name, read in looked:
        try:
            table, said = read()
            return table, f"{name}: {said}"
        except InputError as error:
            tried.append(str(error).removesuffix(f"; {REMEDY}"))
    kinds = ", ".join((f"{video.stem}_speed.csv", *(video.stem + s for s in SUFFIXES)))
    seen = "; ".join(tried) or "it has no data or subtitle track"
    raise InputError(
        f"--scale-from auto: {video}: found no speed or positions ({seen}; looked beside it for {kinds}); "
        "give --scale-from speed FILE, or camera-height METRES"
    )


def files_beside(video: Path) -> Iterator[Path]:
    """Those that may hold its track, best first."""
    files = [path for path in video.absolute().parent.iterdir() if path != video.absolute()]
    for suffix in ("_speed.csv", *SUFFIXES):
        named = (video.stem + suffix).lower()
        yield from (path for path in files if path.name.lower() == named and path.is_file())
