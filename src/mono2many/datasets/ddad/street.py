"""The procedural street in TRI's DGP layout: all that works on DDAD can be tried without DDAD.

CAMERA_01 looks along the street, CAMERA_05 and CAMERA_06 to its left and right; a laser scanner on the roof
sees what they see, half a frame later. All is drawn with the numbers that stand in the JSON.
"""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.files import write_text
from mono2many.geometry.pose import invert, quaternion_from_rotation, transform, transform_from_pose
from mono2many.io.images import write_image
from mono2many.street.reader import StreetSettings, build_street
from mono2many.street.scene import Street
from mono2many.street.tree import (
    VIEW_FROM_BODY,
    Begun,
    Lens,
    StreetTree,
    cast,
    made,
    see_through,
    world_from_camera,
)

SECONDS = 0.1
"""From frame to frame."""
LIDAR = "LIDAR"
RIG = {
    "CAMERA_01": (0.9, (1.60, 0.02, 1.50), (0.004, -0.006, 0.01)),
    "CAMERA_05": (0.58, (1.55, 0.40, 1.52), (-0.006, 0.01, 1.0)),
    "CAMERA_06": (0.58, (1.56, -0.41, 1.51), (0.008, 0.005, -1.0)),
    LIDAR: (0.0, (1.10, 0.0, 1.90), (0.01, 0.015, 0.02)),
}
"""Of each sensor: focal length as a share of the width, its place in the car (x forward, y left, z up,
metres) and how it is turned there (axis-angle; a camera that is not turned looks along x)."""
POINTS = {"point_format": [*"XYZ", "I"]}
BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)


def write_dgp_street(tree: StreetTree) -> Path:
    """Write scenes of samples: see StreetTree.write."""
    tree.need("drives", 2, 10)
    tree.need("frames", 3, 90)
    # images at the even indices, scans at the odd ones
    settings = tree.settings(tree.drives, 2 * tree.frames, step=0.375)

    def begin(part: Path) -> Begun:
        scenes = range(tree.drives)
        for scene in scenes:
            _write_scene(part / _folder(scene), settings, scene)
        names = [f"{_folder(scene)}/scene_street{scene}.json" for scene in scenes]
        splits = {str(i): {"filenames": [n for s, n in enumerate(names) if in_val(s) == i]} for i in (0, 1)}
        text = {"metadata": {"name": "SYNTHETIC street"}, "scene_splits": splits}
        write_text(part / "ddad.json", json.dumps(text))
        every = [(scene, number) for scene in scenes for number in range(tree.frames)]
        return partial(write_sample, part, settings), every

    what = "a procedural street of mono2many in the DGP layout; nothing in it is DDAD's"
    return tree.write(what, {"drives": [tree.drives, tree.frames]}, begin)


def in_val(scene: int) -> bool:
    """Every fifth scene is for validation."""
    return scene % 5 == 1


def lens(settings: StreetSettings, name: str) -> Lens:
    height, width = settings.height, settings.width
    middle = (width - 1) / 2 - round(0.01 * width), (height - 1) / 2 - round(0.02 * height)
    return RIG[name][0] * width, *middle


def car_from_sensor(name: str) -> Float[Tensor, "4 4"]:
    """A camera's axes are x right, y down, z forward; the scanner's are the car's."""
    _, place, turn = RIG[name]
    turned = transform_from_pose(torch.tensor(turn).double(), torch.tensor(place).double())
    return turned if name == LIDAR else turned @ VIEW_FROM_BODY.T


def place(
    settings: StreetSettings, scene: int, number: int, name: str
) -> tuple[Street, int, Float[Tensor, "4 4"]]:
    """Where a sensor is at sample `number`: street, the street's frame, street_from_sensor."""
    street = build_street(settings, "val" if in_val(scene) else "train", scene)
    index = 2 * number + (name == LIDAR)
    front = world_from_camera(street, settings, index)
    return street, index, front @ invert(car_from_sensor("CAMERA_01")) @ car_from_sensor(name)


def write_sample(root: Path, settings: StreetSettings, which: tuple[int, int]) -> None:
    """The pictures and the scan of one sample (scene, number)."""
    folder, size = root / _folder(which[0]), (settings.height, settings.width)
    rng = np.random.default_rng([settings.seed, *which])
    street, scan_index, street_from_lidar = place(settings, *which, LIDAR)
    parts = []
    for name in (name for name in RIG if name != LIDAR):
        (focal, cx, cy), (_, index, pose) = lens(settings, name), place(settings, *which, name)
        image, _ = see_through(street, (focal, cx, cy), size, pose, index)
        write_image(folder / _file(which[1], name), torch.from_numpy(image))
        # turned as the camera is; 0.1: what it sees from another place
        turn = torch.tensor((0.0, 0.0, RIG[name][2][2])).double()
        lidar_from_turned = transform_from_pose(turn, torch.zeros(3).double())
        reach = (size[0] - cy) / focal + 0.1, (size[1] - cx) / focal + 0.1
        points = torch.from_numpy(cast(street, street_from_lidar @ lidar_from_turned, reach, scan_index, rng))
        parts.append(torch.cat([transform(lidar_from_turned, points[:, :3].T).T, points[:, 3:]], 1))
    np.savez_compressed(made(folder / _file(which[1], LIDAR)), data=torch.cat(parts).numpy())


def _write_scene(folder: Path, settings: StreetSettings, scene: int) -> None:
    """A scene's JSON and its calibration."""
    samples: list[dict[str, Any]] = []
    data: list[dict[str, Any]] = []
    size: dict[str, Any] = {"height": settings.height, "width": settings.width, "channels": 3}
    for number in range(settings.frames // 2):
        keys = {name: f"{number:06d}{name}" for name in RIG}
        samples.append({"calibration_key": "street", "datum_keys": list(keys.values())})
        for name, key in keys.items():
            _, index, pose = place(settings, scene, number, name)
            kind, more = ("point_cloud", POINTS) if name == LIDAR else ("image", size)
            time = (BEGIN + timedelta(seconds=index * SECONDS / 2)).isoformat().replace("+00:00", "Z")
            datum = {"filename": _file(number, name), "pose": _pose(VIEW_FROM_BODY.T @ pose), **more}
            data.append({"key": key, "id": {"name": name, "timestamp": time}, "datum": {kind: datum}})
    text = {"name": "SYNTHETIC street", "samples": samples, "data": data}
    write_text(folder / f"scene_street{scene}.json", json.dumps(text))
    lenses = [lens(settings, name) if name != LIDAR else (0.0, 0.0, 0.0) for name in RIG]
    calibration = {
        "names": list(RIG),
        "intrinsics": [{"fx": f, "fy": f, "cx": cx, "cy": cy, "skew": 0.0} for f, cx, cy in lenses],
        "extrinsics": [_pose(car_from_sensor(name)) for name in RIG],
    }
    write_text(folder / "calibration" / "street.json", json.dumps(calibration))


def _folder(scene: int) -> str:
    return f"{scene:06d}"


def _file(number: int, name: str) -> str:
    return f"point_cloud/{name}/{number:06d}.npz" if name == LIDAR else f"rgb/{name}/{number:06d}.jpg"


def _pose(b_from_a: Float[Tensor, "4 4"]) -> dict[str, Any]:
    quaternion = quaternion_from_rotation(b_from_a[:3, :3]).tolist()
    turn = {f"q{axis}": value for axis, value in zip("xyzw", quaternion, strict=True)}
    return {"rotation": turn, "translation": dict(zip("xyz", b_from_a[:3, 3].tolist(), strict=True))}
