"""Speed from what a video knows: every number here is worked out on paper, on WGS 84."""

import struct
from pathlib import Path

import numpy as np
import pytest

from mono2many.errors import InputError
from mono2many.io.gpmf import gpmf_points
from mono2many.io.gps_files import cues_of, nmea_points, subtitle_points
from mono2many.io.gps_tracks import WINDOW, find_track, speeds_of, table_of_file
from mono2many.io.speed_file import metres_along
from mono2many.types import FrameSequence
from track_files import DEGREE_EAST, DRONE, gps5, gps9, sentence, write_video

DEGREE_AT_EQUATOR = 110574.3
"""Metres of one degree of latitude at the equator: pi / 180 * 6378137 * (1 - 0.00669438)."""


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
    for kind, codec, head in (("mp4", "mov_text", struct.pack(">H", len(text))), ("mkv", "subrip", b"")):
        video = write_video(tmp_path / f"a.{kind}", [head + text.encode()] * 3, codec)
        table, said = find_track(video)
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
