"""Calibration files of ROS, OpenCV, Kalibr, COLMAP and open3d, read as the keys of a camera file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mono2many.errors import InputError, nearest
from mono2many.files import explained, read_json
from mono2many.geometry.camera import DistortionModel

KEYS = ("width", "height", "fx", "fy", "cx", "cy")
NAMES = {
    "width": "imagewidth w",
    "height": "imageheight h",
    "fx": "flx",
    "fy": "fly",
    "cx": "",
    "cy": "",
    "size": "resolution imagesize",
    "matrix": "cameramatrix intrinsicmatrix k",
    "focal lengths and centre": "intrinsics",
    "distortion": "distortionopencvk1k2p1p2k3 distortioncoefficients distortioncoeffs distcoeffs distcoeff d",
    "distortion_model": "cameramodel fisheyemodel",
}
"""Of each key the other programs' names, without case and punctuation."""
MODELS: dict[DistortionModel, str] = {
    "plumb_bob": "plumbbob radtan radialtangential brownconrady opencv none",
    "rational": "rational rationalpolynomial fullopencv",
    "fisheye": "fisheye equidistant equi kannalabrandt kannalabrandt4 kb4 opencvfisheye",
}
"""The other programs' names of distortion models, likewise."""
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
IGNORED = (
    "comment name cameraname cameraheight learnt header rectificationmatrix projectionmatrix r p binningx "
    "binningy avgreprojectionerror reprojectionerror rms perviewreprojectionerrors extrinsicparameters "
    "imagepoints gridpoints calibrationtime nrofframes nframes boardwidth boardheight squaresize markersize "
    "fixaspectratio aspectratio flags rostopic camoverlaps tcamimu tcncnm1 timeshiftcamimu tbs sensortype "
    "ratehz classname versionmajor versionminor extrinsic"
)
"""What calibration files hold besides the camera itself."""
COLMAP = {
    "SIMPLE_PINHOLE": "f cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "f cx cy k1",
    "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "SIMPLE_RADIAL_FISHEYE": "f cx cy k1",
    "RADIAL_FISHEYE": "f cx cy k1 k2",
}
"""The parameters of COLMAP's camera models; of others we have no formula."""
COLMAP_LINE = re.compile(r"^\d+ +([A-Z][A-Z_]+) +(\d+ +\d+( +\S+)+) *$", re.MULTILINE)
LARGEST = 1_000_000
"""Bytes of a YAML file."""
MEANT = "keep only the camera of this footage in the file"
WANTED = (
    "wanted width, height, fx, fy, cx, cy in braces, or a calibration of ROS, OpenCV, Kalibr, COLMAP "
    "(cameras.txt) or open3d as JSON, YAML or text: check --camera"
)

Found = dict[str, tuple[str, Any]]
"""Of each key of ours its name in the file and its value; `parts`: the coefficients that have keys each."""


class _Loader(yaml.SafeLoader):
    """Plain data, with OpenCV's matrices as mappings; without aliases, by which a short text can stand for
    more than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it holds aliases (*name)")
        return super().compose_node(parent, index)


_Loader.add_constructor(
    "tag:yaml.org,2002:opencv-matrix", lambda loader, node: loader.construct_mapping(node, deep=True)
)
# YAML 1.1, which PyYAML reads, takes a number for text where it has an exponent and no point: 1e-05
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_calibration(path: str | Path) -> Found:
    """What a calibration file says of one camera, whichever program wrote it. InputError, naming the file,
    where it cannot be read, holds several cameras, says a thing twice or has a key that is not known."""
    values, found = _one_camera(path, _content(path)), dict[str, tuple[str, Any]]()
    ours = {name: key for key, names in NAMES.items() for name in (_plain(key), *names.split())}
    parts = dict[str, Any]()
    for name, value in values.items():
        key = ours.get(_plain(name))
        if _plain(name) in COEFFICIENTS:
            parts[_plain(name)] = value
        elif key is None and _plain(name) == "roi":
            if isinstance(value, dict) and (value.get("x_offset") or value.get("y_offset")):
                raise InputError(f"{path}: key 'roi' cuts the image; give the camera of the cut images")
        elif key is None and _plain(name) not in IGNORED.split():
            known = [*KEYS, "distortion", "distortion_model"]
            raise InputError(
                f"{path}: key '{name[:80]}' is not known, wanted {', '.join(known)} (or k1, k2, p1, p2 ...); "
                f"correct or remove it{nearest(name, known)}"
            )
        elif key is not None and value not in (None, [], ""):
            for own, part in _spread(path, key, name, value):
                _put(path, found, own, name, part)
    if parts and "distortion" in found:
        raise InputError(f"{path}: holds '{found['distortion'][0]}' and '{min(parts)}'; keep one of them")
    if parts:
        found["parts"] = (min(parts), parts)
    return found


def numbers(value: Any) -> list[Any]:
    """The elements of a list, of a list of rows, or of a matrix with rows, cols and data."""
    value = value.get("data") if isinstance(value, dict) else value
    rows = value if isinstance(value, list) else []
    return [element for row in rows for element in (row if isinstance(row, list) else [row])]


def _put(path: str | Path, found: Found, key: str, name: str, value: Any) -> None:
    if key in found and found[key][1] != value:
        raise InputError(f"{path}: '{found[key][0]}' and '{name}' do not agree; keep the one that is right")
    found[key] = (name, value)


def _spread(path: str | Path, key: str, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A key's value as the keys that it stands for."""
    flat = numbers(value)
    if key == "matrix":
        if len(flat) == 9 and not any(flat[6:8]) and flat[8] == 1:  # by rows
            fx, skew, cx, below, fy, cy = flat[:6]
        elif len(flat) == 9 and not flat[2] and not flat[5] and flat[8] == 1:  # by columns, as open3d's
            fx, below, _, skew, fy, _, cx, cy, _ = flat
        else:
            raise InputError(f"{path}: key '{name}' is no 3x3 matrix fx 0 cx, 0 fy cy, 0 0 1; correct it")
        if skew or below:
            raise InputError(f"{path}: key '{name}' has skew; calibrate again without (wanted 0)")
        yield from zip(KEYS[2:], (fx, fy, cx, cy), strict=True)
    elif key in ("size", "focal lengths and centre"):
        keys = KEYS[:2] if key == "size" else KEYS[2:]
        if len(flat) != len(keys):
            raise InputError(f"{path}: key '{name}' wanted {', '.join(keys)}; correct it")
        yield from zip(keys, flat, strict=True)
    elif key != "distortion_model":
        yield key, value
        if _plain(name).endswith("k1k2p1p2k3"):
            yield "distortion_model", "plumb_bob"
    elif _plain(name) == "fisheyemodel":  # of OpenCV's calibration program: 0 or 1
        yield from [(key, "fisheye")] if value else []
    elif _plain(name) != "cameramodel" or _plain(str(value)) not in ("pinhole", "perspective"):
        plain, shown = _plain(str(value)), str(value)[:80]
        model = next((model for model, names in MODELS.items() if plain in names.split()), None)
        if model is None:
            raise InputError(
                f"{path}: key '{name}' is {shown!r}, wanted plumb_bob, rational or fisheye; calibrate with "
                "one of these, or undistort the footage and give the camera of the result, without distortion"
            )
        yield key, model


def _one_camera(path: str | Path, values: dict[str, Any]) -> dict[str, Any]:
    """The values of the camera, where they stand one level below the file's own."""
    cameras = [name for name in values if re.fullmatch(r"cam(era)?_?\d+", name)]
    if len(cameras) > 1:
        raise InputError(f"{path}: holds {len(cameras)} cameras, {', '.join(cameras[:4])}; {MEANT}")
    inside = values.get(cameras[0] if cameras else "intrinsic")
    if not isinstance(inside, dict):
        return values
    others = {name: value for name, value in values.items() if value is not inside}
    return others | {str(name): value for name, value in inside.items()}


def _content(path: str | Path) -> dict[str, Any]:
    """The mapping that a file holds, in whichever language."""
    wrong = (OSError, ValueError, yaml.YAMLError, RecursionError)
    with explained(f"{path}: cannot be read as a camera file", WANTED, wrong):
        with Path(path).open(encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)
        if text.lstrip()[:1] in ("{", "["):
            return read_json(path, WANTED)
        if len(text) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes; keep the camera alone")
        if text.lstrip().startswith("<"):
            raise ValueError("it is XML; let OpenCV write it as YAML: a file's name that ends in .yaml")
        if cameras := COLMAP_LINE.findall(text):
            return _colmap(path, cameras)
        text = re.sub(r"^%YAML.*", "", text)  # OpenCV writes it with a colon, and once without --- below
        found = next(iter(yaml.load_all(text, _Loader)), None)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__}, wanted keys with values")
        return {str(key): value for key, value in found.items()}


def _colmap(path: str | Path, cameras: list[tuple[str, ...]]) -> dict[str, Any]:
    """The camera of COLMAP's cameras.txt, where pixel (0, 0) has its centre at (0.5, 0.5)."""
    if len({camera[:2] for camera in cameras}) > 1:
        raise InputError(f"{path}: holds {len(cameras)} cameras; {MEANT}")
    model, parameters = cameras[0][0], cameras[0][1].split()
    if model not in COLMAP:
        return {"distortion_model": model}
    values = dict(zip(("width", "height"), map(int, parameters), strict=False))
    names = COLMAP[model].split()
    if len(names) != len(parameters) - 2:
        raise InputError(f"{path}: {model} has {len(parameters) - 2} parameters, wanted {' '.join(names)}")
    found = dict(zip(names, map(float, parameters[2:]), strict=True))
    focal = found.pop("f", None)
    found |= {"fx": focal, "fy": focal} if focal is not None else {}
    found |= {"cx": found["cx"] - 0.5, "cy": found["cy"] - 0.5}
    lens = "fisheye" if "FISHEYE" in model else "rational" if model == "FULL_OPENCV" else "plumb_bob"
    return {**values, **found, "distortion_model": lens}


def _plain(name: str) -> str:
    """Without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
