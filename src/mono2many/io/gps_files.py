"""Files of positions and speeds: GPX, NMEA 0183, and subtitles as drones and dash cams write them.

Each reader returns rows of time (s), latitude, longitude (degrees), height (m) and speed (m/s), NaN where
unknown; heights are read of drones only, whose barometer is better than the height of a GPS.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import reduce
from operator import xor
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Float
from numpy import ndarray

NOTHING = float("nan")
DAY = 86400
KNOT = 1852 / 3600
UNITS = {"km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6, "mph": 0.44704, "m/s": 1.0, "knots": KNOT}
"""Metres per second."""
SENTENCE = re.compile(r"\$[A-Z]{2}(RMC|GGA|VTG),([^*$\r\n]*)(?:\*([0-9A-Fa-f]{2}))?")
CUE = re.compile(r"(\d{1,3}):(\d\d):(\d\d)[,.](\d{1,3})\s*-->")
NUMBER = r"(-?\d{1,9}(?:\.\d{1,12})?)"
LATITUDE = re.compile(rf"\blat(?:itude)?\s?[:=]\s?{NUMBER}", re.IGNORECASE)
LONGITUDE = re.compile(rf"\blong?(?:t?itude)?\s?[:=]\s?{NUMBER}", re.IGNORECASE)
LON_LAT = re.compile(rf"\b(?:GPS|RTK)\s?\(\s?{NUMBER}\s?,\s?{NUMBER}")
COMPASS = re.compile(rf"\b([NS])\s?:?\s?{NUMBER}\W{{0,9}}([EW])\s?:?\s?{NUMBER}")
HEIGHT = re.compile(rf"\b(?:rel_alt|altitude)\s?:\s?{NUMBER}")
SPEED = re.compile(rf"(?<![\d.]){NUMBER}\s?({'|'.join(UNITS)})", re.IGNORECASE)
CLIMB = re.compile(rf"\bV\.S:?\s?{NUMBER}\s?m/s")

Rows = Float[ndarray, "N 5"]


def as_rows(found: Iterable[tuple[float, ...]]) -> Rows:
    return np.array(list(found), float).reshape(-1, 5)


def gpx_points(text: str) -> Rows:
    """Of a track in GPX; seconds since 1970. Raises ValueError or SyntaxError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # which could grow without bound
        raise ValueError("it declares entities")
    found = []
    for point in ElementTree.fromstring(text).iter():
        if _name(point) == "trkpt":
            inside = {_name(x): (x.text or "").strip() for x in point.iter()}
            if "time" not in inside:
                raise ValueError("a point has no time")
            known = inside.get("fix") != "none"
            place = (float(point.get(key, "nan")) for key in ("lat", "lon"))
            values = (*place, 0.0, float(inside.get("speed") or "nan"))
            found.append((instant(inside["time"]), *(values if known else [NOTHING] * 4)))
    return as_rows(found)


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2].lower()


def instant(text: str) -> float:
    """ISO 8601, in UTC where it does not say."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def nmea_points(text: str) -> tuple[Rows, bool]:
    """Of the sentences RMC, VTG and GGA whose checksum is right, and whether their seconds are since 1970:
    without a date they are of the day. Other text between them is passed over."""
    rows: dict[float, list[float]] = {}
    midnight, days, last, now = None, 0, None, list[float]()
    for match in SENTENCE.finditer(text):
        kind, body, check = match.groups()
        line = match[0][1:].partition("*")[0]
        if check and reduce(xor, line.encode()) != int(check, 16):
            continue
        fields = [*body.split(","), *[""] * 9]
        if kind == "VTG":  # of the moment of the sentence before
            if now and np.isnan(now[3]) and not np.isnan(now[0]):
                now[3] = _number(fields[4]) * KNOT
            continue
        clock = re.fullmatch(r"(\d\d)(\d\d)(\d\d(?:\.\d{1,9})?)", fields[0])
        if not clock:
            continue
        time = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
        days, last = days + (last is not None and time < last - DAY / 2), time
        if kind == "RMC" and midnight is None and re.fullmatch(r"\d{6}", fields[8]):
            date = datetime.strptime(fields[8], "%d%m%y").replace(tzinfo=UTC)
            midnight = date.timestamp() - days * DAY
        now = rows.setdefault(time + days * DAY, [NOTHING] * 4)
        at, fix = (2, fields[1] == "A") if kind == "RMC" else (1, fields[5] not in ("", "0"))
        if not fix:
            now[:] = [NOTHING] * 4
            continue
        now[:3] = [_degrees(*fields[at : at + 2]), _degrees(*fields[at + 2 : at + 4]), 0.0]
        if kind == "RMC" and not np.isnan(speed := _number(fields[6])):
            now[3] = speed * KNOT
    return as_rows((time + (midnight or 0), *values) for time, values in rows.items()), midnight is not None


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{0,12})?", text) else NOTHING


def _degrees(text: str, side: str) -> float:
    """Of degrees and minutes, dddmm.mmmm."""
    degrees, minutes = divmod(_number(text), 100)
    return (degrees + minutes / 60) * (-1 if side in ("S", "W") else 1)


def subtitle_points(cues: Iterable[tuple[float, str]]) -> Rows:
    """Of subtitles with their times. Raises ValueError where fewer than half hold a position or a speed:
    others are what somebody says."""
    rows = as_rows((time, *_cue(text)) for time, text in cues)
    if np.isfinite(rows[:, [1, 4]]).any(1).sum() * 2 < max(1, len(rows)):
        raise ValueError("its subtitles hold no positions and no speeds")
    return rows


def cues_of(text: str) -> list[tuple[float, str]]:
    """The subtitles of a SubRip file (.srt), with the times when they begin."""
    parts = CUE.split(text)[1:]
    times = zip(*(parts[i::5] for i in range(5)), strict=True)
    return [(int(h) * 3600 + int(m) * 60 + int(s) + float(f"0.{ms}"), body) for h, m, s, ms, body in times]


def _cue(text: str) -> tuple[float, float, float, float]:
    """Latitude, longitude, height, speed."""
    latitude, longitude = NOTHING, NOTHING
    north, east = LATITUDE.search(text), LONGITUDE.search(text)
    if north and east:
        latitude, longitude = float(north[1]), float(east[1])
    elif pair := LON_LAT.search(text):
        longitude, latitude = float(pair[1]), float(pair[2])
    elif sides := COMPASS.search(text):
        latitude = float(sides[2]) * (-1 if sides[1] == "S" else 1)
        longitude = float(sides[4]) * (-1 if sides[3] == "W" else 1)
    height, speed, climb = HEIGHT.search(text), SPEED.search(text), CLIMB.search(text)
    metres = float(speed[1]) * UNITS[speed[2].lower()] if speed else NOTHING
    if climb and speed:
        metres = float(np.hypot(metres, float(climb[1])))
    return latitude, longitude, float(height[1]) if height else 0.0, metres
