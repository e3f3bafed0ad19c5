"""How far is a fused street from the exact one?

    python examples/reconstruction.py --out outputs/reconstruction

Draws a video of an unseen street, reconstructs it as `mono2many reconstruct` does, lays path and surface upon
the exact ones (rotation, shift and one scale, by the camera's places), and prints: the path's error, the
distance of the fused points to the nearest of the exact depth maps, in metres, and how much of the exact
surface has a fused point near it. Writes figures.json beside the reconstruction. Needs scipy.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from scipy.spatial import cKDTree

from mono2many import load
from mono2many.files import write_text
from mono2many.geometry.pose import transform
from mono2many.geometry.warp import backproject
from mono2many.metrics.odometry import fit, path_errors
from mono2many.predict.inputs import camera_source
from mono2many.reconstruct.run import reconstruct
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.street.video import write_street_video
from mono2many.types import Frame

FINE, NEAR, WITHIN = 0.05, 30.0, 0.5
"""Metres: cubes of which one exact point is kept; depth of those to be found, and how near one must be."""


@dataclass(frozen=True)
class Settings:
    """Reconstruct a street whose surface is known."""

    out: Path = Path("outputs/reconstruction")
    model: str = "starter"
    frames: int = 60
    height: int = 192
    width: int = 640
    scene: int = 0


def exact_points(frames: list[Frame], far: float) -> torch.Tensor:
    """Static points of the depth maps, nearer than `far`, one in each cube of side FINE; N 3."""
    found = []
    for frame in frames:
        assert frame.depth is not None
        assert frame.moving is not None
        assert frame.world_from_camera is not None
        points = backproject(frame.depth[None], frame.intrinsics[None])[0]
        used = (frame.depth.flatten() < far) & ~frame.moving.flatten()
        found.append(transform(frame.world_from_camera, points)[:, used].T)
    points = torch.cat(found)
    _, cube = torch.unique((points / FINE).floor().long(), dim=0, return_inverse=True)
    last = torch.empty(int(cube.max()) + 1, dtype=torch.int64)
    last[cube] = torch.arange(len(points))
    return points[last]


def measure(s: Settings) -> dict[str, float]:
    street = StreetSettings(s.scene + 1, s.frames, s.height, s.width)
    video = s.out / "street.mp4"
    if not video.exists():
        write_street_video(video, street, s.scene)
    camera = camera_source(str(video.with_suffix(".json")), None)
    found, _ = reconstruct(load(s.model), str(video), s.out, ["ply", "glb", "html"], camera)
    reader = SyntheticReader(street, "test")
    frames = [reader.frame(s.scene, i) for i in range(s.frames)]
    true = torch.stack([f.world_from_camera for f in frames if f.world_from_camera is not None]).double()
    scale, true_from_found = fit(true[:, :3, 3], found.world_from_camera[:, :3, 3], True)
    points = transform(true_from_found, scale * found.surface.points.double().T).T.numpy()
    distance = torch.from_numpy(cKDTree(exact_points(frames, 80.0).numpy()).query(points)[0])
    missing = torch.from_numpy(cKDTree(points).query(exact_points(frames, NEAR).numpy())[0])
    return {
        "metres per unit": scale,
        "path, metres": float(true[:, :3, 3].diff(dim=0).norm(dim=1).sum()),
        "path error (ATE), metres": path_errors(true, found.world_from_camera).ate,
        "points": len(points),
        "distance to the exact surface, median": float(distance.median()),
        "distance to the exact surface, 90th percentile": float(distance.quantile(0.9)),
        f"exact points within {NEAR:g} m that have one within {WITHIN:g} m": float(
            (missing < WITHIN).double().mean()
        ),
    }


def main(s: Settings) -> None:
    s.out.mkdir(parents=True, exist_ok=True)
    figures = measure(s)
    print("\n".join(f"{name}: {value:.3f}" for name, value in figures.items()))
    write_text(s.out / "figures.json", json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(tyro.cli(Settings))
