"""Speed from what a video knows: every number here is worked out on paper, on WGS 84."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mono2many.errors import InputError
from mono2many.io.gpmf import gpmf_points
from mono2many.io.gps_files import cues_of, gpx_points, nmea_points, subtitle_points
from mono2many.io.gps_tracks import WINDOW, find_track, speed_table, speeds_of, table_of_file
from mono2many.io.speed_file import metres_along
from mono2many.types import FrameSequence

DEGREE_AT_EQUATOR = 110574.3
"""Metres of one degree of latitude at the equator: pi / 180 * 6378137 * (1 - 0.00669438)."""
DEGREE_EAST = 111319.49
"""Metres of one degree of longitude there: pi / 180 * 6378137."""


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
        for i, payload in enumerate(payloads):
            packet = av.Packet(payload)
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = 1000 * i
            packet.duration = 1000
            container.mux(packet)
    return path


@pytest.mark.parametrize("payload", [gps5, gps9])
def test_points_are_spread_over_the_payload_and_divided_by_their_scale(payload) -> None:  # type: ignore[no-untyped-def]
    rows = gpmf_points(payload([10.0, 12.5]), 3.0, 1.0)
    np.testing.assert_allclose(rows[:, 0], [3.0, 3.5])
    np.testing.assert_allclose(rows[:, 1:3], [[45, 7]] * 2)
    np.testing.assert_allclose(rows[:, 4], [10, 12.5])
    assert np.isnan(gpmf_points(payload([10.0], fix=0), 0.0, 1.0)[:, 1:]).all()


def test_points_of_bad_precision_do_not_count() -> None:
    assert np.isnan(gpmf_points(gps5([10.0], dilution=5.1), 0.0, 1.0)[:, 4]).all()
    assert np.isfinite(gpmf_points(gps5([10.0], dilution=5.0), 0.0, 1.0)[:, 4]).all()


def test_the_track_of_a_video_becomes_a_table_in_which_seconds_without_fix_are_unknown(
    tmp_path: Path,
) -> None:
    payloads = [gps5([10.0] * 10), gps5([10.0] * 10, fix=0), gps5([20.0] * 10)]
    video = write_video(tmp_path / "ride.mp4", payloads)
    table, said = find_track(video)
    assert "data track 'GoPro MET': measured speed, 20 of 30 points" in said
    times = tuple(i / 2 for i in range(6))
    along = metres_along(table, video, FrameSequence("ride", 6, times))
    # 10 m/s up to 0.9 s; nothing from then until 2.0 s; 20 m/s up to the last point at 2.9 s
    assert along[1] - along[0] == pytest.approx(5)
    assert np.isnan(along[[2, 3]]).all()
    assert along[5] - along[4] == pytest.approx(10)


@pytest.mark.parametrize(
    "text",
    [
        "F/2.8, SS 206, ISO 150, EV 0, GPS (7.0, 45.0, 10), D 2.8m, H 0.00m, H.S 3.00m/s, V.S -4.00m/s",
        "18 km/h N45.00001 E7.00001",
        "2024-05-01 10:00:00 Speed: 5.0 m/s",
    ],
)
def test_a_subtitle_track_gives_its_speed(tmp_path: Path, text: str) -> None:
    cue = struct.pack(">H", len(text)) + text.encode()
    table, said = find_track(write_video(tmp_path / "a.mp4", [cue] * 3, "mov_text"))
    assert "subtitle track" in said
    np.testing.assert_allclose(table["time"], [0, 1, 2])
    np.testing.assert_allclose(table["speed"], 5)  # of 3 ahead and 4 down; 18 km/h


def test_a_thousandth_of_a_degree_is_110_metres_north_and_111_east_at_the_equator() -> None:
    time, step, still = np.arange(5.0), np.arange(5) / 1000, np.zeros(5)
    np.testing.assert_allclose(
        speeds_of(time, step - 0.002, still, still), DEGREE_AT_EQUATOR / 1000, rtol=1e-5
    )
    np.testing.assert_allclose(speeds_of(time, still, step, still), DEGREE_EAST / 1000, rtol=1e-5)
    wrapped = (179.998 + step + 180) % 360 - 180
    np.testing.assert_allclose(speeds_of(time, still, wrapped, still), DEGREE_EAST / 1000, rtol=1e-5)
    np.testing.assert_allclose(speeds_of(time, still, still, 3 * time), 3)
    # 60 degrees north: half as far, by WGS 84's 55800.3 m
    np.testing.assert_allclose(speeds_of(time, still + 60, step, still), 55.8003, rtol=1e-5)


def test_a_line_through_four_seconds_averages_noise_out() -> None:
    time = np.arange(0, 600, 1.0)
    noise = np.random.default_rng(0).normal(0, 1.0 / DEGREE_EAST, (2, 600))  # one metre
    found = speeds_of(time, noise[0], 10 * time / DEGREE_EAST + noise[1], np.zeros(600))
    assert WINDOW == 2
    inside = found[2:-2]  # five points: a slope's variance is 1 / (4 + 1 + 0 + 1 + 4) m2/s2
    assert inside.mean() == pytest.approx(10, rel=0.005)
    assert inside.std() == pytest.approx(0.316, rel=0.15)


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


def test_nmea_gives_knots_of_valid_sentences_over_midnight() -> None:
    text = (
        sentence("GPRMC,235958.00,A,4500.000,N,00700.000,E,10.0,90.0,300424,,,A")
        + sentence("GNVTG,90.0,T,,M,99.0,N,99.0,K,A")  # RMC has said it
        + sentence("GPRMC,235959.00,V,4500.000,N,00700.000,E,50.0,90.0,300424,,,N")
        + sentence("GPGGA,000000.00,4530.000,S,00700.000,W,1,08,1.0,100.0,M,,,,")
        + sentence("GPVTG,90.0,T,,M,20.0,N,37.0,K,A")
        + sentence("GPRMC,000001.00,A,4500.000,N,00700.000,E,30.0,90.0,010524,,,A").replace("30.0", "39.0")
    )
    rows, dated = nmea_points(text)
    assert dated
    np.testing.assert_allclose(rows[:, 0] - 1714521598, [0, 1, 2])  # 2024-04-30 23:59:58 UTC
    np.testing.assert_allclose(rows[:, 4] / (1852 / 3600), [10, np.nan, 20])  # the last has a wrong checksum
    np.testing.assert_allclose(rows[[0, 2], 1:3], [[45, 7], [-45.5, -7]])


DRONE = """1
00:00:00,000 --> 00:00:00,033
<font size="28">FrameCnt: 1, DiffTime: 33ms
2024-05-21 14:30:00.123
[iso: 100] [shutter: 1/2000.0] [{lat}: 45.0] [{lon}: -7.5] [rel_alt: 50.5 abs_alt: 100.5] </font>

"""


def test_subtitles_of_drones_are_read_in_their_spellings() -> None:
    for lat, lon in (("latitude", "longitude"), ("latitude ", "longtitude "), ("lat", "lon")):
        (row,) = subtitle_points(cues_of(DRONE.format(lat=lat, lon=lon)))
        np.testing.assert_allclose(row, [0, 45, -7.5, 50.5, np.nan])
    (row,) = subtitle_points(cues_of("1\n01:02:03,500 --> 01:02:04,000\nGPS(-7.5,45.0,19) BAROMETER:1.9\n"))
    np.testing.assert_allclose(row, [3723.5, 45, -7.5, 0, np.nan])
    with pytest.raises(ValueError, match="no positions and no speeds"):
        subtitle_points([(0.0, "We drove at 50 km/h."), (1.0, "Did we?"), (2.0, "Yes.")])


def test_all_that_was_looked_at_is_named_with_the_remedy(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", [gps5([1.0] * 3, fix=0), b"DEVC\0\0\0\xff"])
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "A.TXT").write_text("notes")
    with pytest.raises(
        InputError, match=r"GoPro MET.*a\.csv: its columns are x, y.*A\.TXT: holds no.*a\.gpx"
    ):
        find_track(video)
    with pytest.raises(InputError, match=r"no data or subtitle track.*give --scale-from speed FILE"):
        find_track(write_video(tmp_path / "alone.mp4", []))
    (tmp_path / "bomb.gpx").write_text('<!DOCTYPE a [<!ENTITY b "c">]><gpx>&b;</gpx>')
    with pytest.raises(InputError, match="declares entities"):
        table_of_file(tmp_path / "bomb.gpx")
