"""Whole files of every reader, small, with what makes their bytes."""

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mono2many.data import cache
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.train.recipes import recipe
from track_files import track_files

DATE = "2011_09_26"
DRIVE = f"{DATE}/{DATE}_drive_0001_sync"
CALIBRATION = f"{DATE}/calib_cam_to_cam.txt"
CITY = "city/camera/train/a/a_000000_000019_camera.json"
LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def numpy_bytes(array: np.ndarray, **more: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, data=array, **more) if more else np.save(buffer, array)
    return buffer.getvalue()


def zip_bytes(*names: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), "K: 1 2 3\n" * 9, method)
    return buffer.getvalue()


def a_dgp_tree() -> dict[str, bytes]:
    pose = {"rotation": {"qw": 1.0}, "translation": {"x": 1.0, "y": 0.5}}

    def datum(key: str, name: str, what: dict[str, Any]) -> dict[str, Any]:
        return {"key": key, "id": {"name": name, "timestamp": "2020-01-01T00:00:00.1Z"}, "datum": what}

    image = {"filename": "a.png", "height": 6, "width": 8, "pose": pose}
    cloud = {"filename": "a.npz", "point_format": ["X", "Y", "Z", "INTENSITY"], "pose": pose}
    scene = {
        "data": [datum("i", "CAM", {"image": image}), datum("l", "LIDAR", {"point_cloud": cloud})],
        "samples": [{"datum_keys": ["i", "l"], "calibration_key": "c"}],
    }
    lens = {"fx": 8.0, "fy": 8.0, "cx": 3.5, "cy": 2.5}
    return {
        "dgp/set.json": json_bytes({"scene_splits": {"0": {"filenames": ["s/scene.json"]}}}),
        "dgp/s/scene.json": json_bytes(scene),
        "dgp/s/calibration/c.json": json_bytes({"names": ["CAM", "LIDAR"], "intrinsics": [lens, {}]}),
        "dgp/s/a.png": encoded(Image.new("RGB", (8, 6)), "PNG"),
        "dgp/s/a.npz": numpy_bytes(np.ones((5, 4)), other=np.ones(3)),
    }


def write_inputs(folder: Path) -> None:
    """Every file that a case reads, as it should be."""
    picture = Image.fromarray(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3))
    city = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 9.0, "fy": 9.0, "u0": 4.0, "v0": 3.0}}
    clips = [{"frames": [0, 1, 2], "times": None}]
    listed = {"format": "mono2many-clips", "version": 1, "film": "frames", "height": 6, "width": 8}
    eyes = "".join(f"S_rect_{n}: 8 6\nP_rect_{n}: 9 0 4 -3 0 9 3 0 0 0 1 0\n" for n in ("02", "03"))
    rigid = "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0.1 0\n"
    pose = "1 0 0 {} 0 1 0 0 0 0 1 0\n"
    index: dict[str, Any] = {"version": 2, "fingerprint": "video 1", "clips": [{"name": "a", "frames": 2}]}
    row = np.zeros((2, 3, 4, 4), np.uint8)
    entry = f"{cache.name_of(index)}/"
    layer = torch.nn.Linear(2, 3)
    optimiser = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    saved = {"model": layer.state_dict(), "optimiser": optimiser.state_dict(), "step": 1, "best": 0.5}
    for name in ("step.pt", "weights.pth"):
        torch.save(saved if name == "step.pt" else layer.state_dict(), folder / name)
    many = ManyArchitecture(**asdict(LIGHT), hypotheses=4)
    save_model(folder / "mono", MonoDepth(LIGHT), ModelCard(LIGHT, 32, 64, seen=("a", "b")))
    save_model(folder / "many", ManyDepth(many), ModelCard(many, 32, 64, sizes=((32, 64), (64, 64))))
    files = {
        "camera.json": json_bytes(
            {
                "width": 8,
                "height": 6,
                "fx": 8.0,
                "fy": 8.0,
                "cx": 4.0,
                "cy": 3.0,
                "distortion": [0.1, 0, 0, 0],
            }
        ),
        "a.clips.json": json_bytes({**listed, "clips": clips}),
        "run.json": json_bytes({"settings": asdict(recipe("default"))}),
        **a_dgp_tree(),
        CITY: json_bytes({**city, "size": [6, 8]}),
        "city.txt": b"aachen_000000_000019\n",
        CALIBRATION: f"calib_time: now\nR_rect_00: 1 0 0 0 1 0 0 0 1\n{eyes}".encode(),
        f"{DATE}/calib_velo_to_cam.txt": rigid.encode(),
        f"{DATE}/calib_imu_to_velo.txt": rigid.encode(),
        "scan.bin": np.array([[9, 1, 2, 0.5]] * 4, np.float32).tobytes(),
        "sequences/09/calib.txt": "".join(f"P{n}: 9 0 4 -3 0 9 3 0 0 0 1 0\n" for n in range(4)).encode(),
        "poses/09.txt": "".join(pose.format(x) for x in range(3)).encode(),
        "list.txt": f"{DRIVE} 0000000012 l\n{DRIVE} 13 r\n".encode(),
        "seen.txt": f"{DATE}_drive_0001_sync l 1-15,17\nddad a.json\n".encode(),
        "tum.txt": b"# time\n0.1 0 0 0 0 0 0 1\n0.2 1 0 0 0 0 0 1\n",
        "rgb.txt": b"# time\n0.1 rgb/1.png\n0.2 rgb/2.png\n",
        "speed.csv": b"time,speed,frame\n0,1.5,0\n1,2.5,10\n",
        **track_files(folder),
        "image.png": encoded(picture, "PNG"),
        "image.jpg": encoded(picture.resize((64, 48)), "JPEG"),
        "image.tif": encoded(picture, "TIFF"),
        "image.bmp": encoded(picture, "BMP"),
        "image.webp": encoded(picture, "WEBP"),
        "depth.png": encoded(Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8)), "PNG"),
        "depth.npy": numpy_bytes(np.ones((6, 8), np.float32)),
        "predictions.npy": numpy_bytes(np.ones((3, 6, 8), np.float32)),
        f"{DATE}_calib.zip": zip_bytes(CALIBRATION, f"{DATE}/other.txt"),
        entry + "image.npy": numpy_bytes(row),
    }
    files |= {
        f"{place}/{n}.png": encoded(picture, "PNG")
        for n in ("000000", "000001", "000002")
        for place in ("frames", "sequences/09/image_2")
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    image = folder / entry / "image.npy"
    index["files"] = {"image": (image.stat().st_size, cache._digest(image))}
    (folder / entry / "index.json").write_bytes(json_bytes(index))
    (folder / "entry").symlink_to(entry)
