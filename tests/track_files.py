"""Tracks of positions and speeds as cameras, drones and receivers write them, by the published formats."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

DEGREE_EAST = 111319.49
"""Metres of one degree of longitude at the equator: pi / 180 * 6378137 of WGS 84."""


def klv(key: str, kind: str, size: int, *items: bytes) -> bytes:
    """An entry of GPMF, padded to 32 bits."""
    data = b"".join(items)
    head = struct.pack(">4scBH", key.encode(), kind.encode(), size, len(data) // size)
    return head + data + b"\0" * (-len(data) % 4)


def nested(key: str, *inside: bytes) -> bytes:
    return klv(key, "\0", 4, *inside)


def gps5(speeds: list[float], fix: int = 3, dilution: float = 1.5) -> bytes:
    """A payload with points at 45 degrees north, as cameras write it: the ground speed in mm/s, the speed in
    three dimensions in cm/s."""
    rows = [struct.pack(">5l", 450000000, 70000000, 100000, int(v * 1000), int(v * 100)) for v in speeds]
    stream = nested(
        "STRM",
        klv("TSMP", "L", 4, struct.pack(">L", len(speeds))),
        klv("STNM", "c", 1, b"GPS (lat, lon, alt, 2D, 3D)"),
        klv("GPSF", "L", 4, struct.pack(">L", fix)),
        klv("GPSU", "U", 16, b"240501100000.000"),
        klv("GPSP", "S", 2, struct.pack(">H", int(100 * dilution))),
        klv("UNIT", "c", 3, b"degdegm  m/sm/s"),
        klv("SCAL", "l", 4, struct.pack(">5l", 10**7, 10**7, 1000, 1000, 100)),
        klv("GPS5", "l", 20, *rows),
    )
    other = nested("STRM", klv("SCAL", "s", 2, struct.pack(">h", 418)), klv("ACCL", "s", 6, b"\0" * 18))
    return nested("DEVC", klv("DVID", "L", 4, b"\0\0\0\1"), klv("DVNM", "c", 1, b"Camera"), other, stream)


def gps9(speeds: list[float], fix: int = 3) -> bytes:
    """As later cameras do: days and seconds, dilution and fix with each point."""
    scales = struct.pack(">9l", 10**7, 10**7, 1000, 1000, 100, 1, 1000, 100, 1)
    rows = [
        struct.pack(">7l2H", 450000000, 70000000, 0, int(v * 1000), int(v * 100), 8887, 0, 150, fix)
        for v in speeds
    ]
    stream = (klv("TYPE", "c", 1, b"lllllllSS"), klv("SCAL", "l", 4, scales), klv("GPS9", "?", 32, *rows))
    return nested("DEVC", nested("STRM", *stream))


def mux_payloads(
    container: av.container.OutputContainer, track: av.stream.Stream | None, payloads: list[bytes]
) -> None:
    """One a second."""
    for i, payload in enumerate(payloads):
        packet = av.Packet(payload)
        packet.stream, packet.time_base = track, Fraction(1, 1000)
        packet.pts = packet.dts = 1000 * i
        packet.duration = 1000
        container.mux(packet)


def add_gpmf(source: Path, path: Path, payloads: list[bytes]) -> Path:
    """A copy of a video with a track of GPMF."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        track = new.add_mux_stream("bin_data")
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                new.mux(packet)
        mux_payloads(new, track, payloads)
    return path


def write_video(
    path: Path, payloads: list[bytes], codec: str = "bin_data", created: str = "", frames: int = 4
) -> Path:
    """A tiny MP4 with a second track of one payload a second; of bin_data FFmpeg makes the track `gpmd`."""
    with av.open(str(path), "w") as container:
        if created:
            container.metadata["creation_time"] = created
        video = container.add_stream("mpeg4", rate=2)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        track = container.add_mux_stream(codec) if payloads else None
        for _ in range(frames):
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(video.encode(image))
        container.mux(video.encode(None))
        mux_payloads(container, track, payloads)
    return path


def gpx(points: list[tuple[float, float]], extra: str = "", day: str = "2024-05-01T10:00:") -> str:
    """East along the equator: (seconds, metres)."""
    rows = "".join(
        f'<trkpt lat="0.0" lon="{1 + metres / DEGREE_EAST:.9f}">'
        f"<time>{day}{second:06.3f}Z</time>{extra}</trkpt>"
        for second, metres in points
    )
    namespace = 'xmlns="http://www.topografix.com/GPX/1/1"'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<gpx {namespace}><trk><trkseg>{rows}</trkseg></trk></gpx>'
    )


def test_gpx_becomes_speed_from_its_first_point_or_the_videos_creation_on(tmp_path: Path) -> None:
    (tmp_path / "a.gpx").write_text(gpx([(5 + i, 7.0 * i) for i in range(9)]))
    plain = write_video(tmp_path / "a.mp4", [])
    table, said = find_track(plain)
    assert "its first point is taken as the video's beginning (the video has no time of creation)" in said
    assert table["time"][0] == 0
    np.testing.assert_allclose(table["speed"], 7, rtol=1e-4)
    matched, said = table_of_file(
        tmp_path / "a.gpx", write_video(tmp_path / "b.mp4", [], created="2024-05-01T10:00:07Z")
    )
    assert matched["time"][0] == pytest.approx(-2)
    assert "matched by the video's time of creation" in said
    elsewhere = write_video(tmp_path / "c.mp4", [], created="2021-01-01T00:00:00Z")
    assert "2021-01-01" in table_of_file(tmp_path / "a.gpx", elsewhere)[1]


def test_speed_in_gpx_is_preferred_and_points_without_fix_and_gaps_are_unknown() -> None:
    measured = speed_table(gpx_points(gpx([(i, 7.0 * i) for i in range(5)], "<speed>6.5</speed>")))[0]
    np.testing.assert_allclose(measured["speed"], 6.5)
    with pytest.raises(ValueError, match="0 of its 5 points"):
        speed_table(gpx_points(gpx([(i, 7.0 * i) for i in range(5)], "<fix>none</fix>")))
    gap = [(float(i), 7.0 * i) for i in (0, 1, 2, 3, 40, 41, 42)]
    table = speed_table(gpx_points(gpx(gap)))[0]
    assert len(table["time"]) == 8
    assert np.isnan(table["speed"][4])
    np.testing.assert_allclose(np.delete(table["speed"], 4), 7, rtol=1e-4)


def sentence(body: str) -> str:
    check = 0
    for letter in body.encode():
        check ^= letter
    return f"[123]${body}*{check:02X}\r\n"


DRONE = """1
00:00:00,000 --> 00:00:00,033
<font size="28">FrameCnt: 1, DiffTime: 33ms
2024-05-21 14:30:00.123
[iso: 100] [shutter: 1/2000.0] [{lat}: 45.0] [{lon}: -7.5] [rel_alt: 50.5 abs_alt: 100.5] </font>

"""


def track_files(folder: Path) -> dict[str, bytes]:
    """Small ones of each kind, by their names."""
    fix = "GPRMC,10000{0}.00,A,4500.000,N,0070{0}.000,E,10.0,90.0,010524,,,A"
    files = {
        "track.gpx": gpx([(float(i), 7.0 * i) for i in range(4)]),
        "track.nmea": "".join(sentence(fix.format(i)) for i in range(4)),
        "track.srt": "".join(
            f"{i}\n00:00:0{i},000 --> 00:00:0{i},900\n"
            "GPS (-7.5, 45.0, 9), D 1.0m, H.S 3.0m/s, V.S 1.0m/s [latitude: 45.0] [longitude: -7.5]\n\n"
            for i in range(3)
        ),
    }
    video = write_video(folder / "gpmd.mp4", [gps5([5.0, 6.0]), gps9([7.0, 8.0])]).read_bytes()
    return {"gpmd.mp4": video} | {name: text.encode() for name, text in files.items()}
