"""An image with its depth as a mesh that a browser can turn."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from mono2many.files import write_bytes
from mono2many.predict.depth_map import DepthMap
from mono2many.predict.sessions import runtime

WIDEST = 320
"""Vertices in a row."""
JUMP = 1.15
"""Larger depth ratios between neighbours are edges of objects, where the mesh is cut."""
NEAR, FAR = 0.05, 12.0
"""What is farther than FAR times this quantile of depth, such as the sky, is left out."""


def write_scene(
    path: Path, prediction: DepthMap, image: UInt8[Tensor, "3 H W"], intrinsics: Float[Tensor, "3 3"]
) -> float:
    """A textured GLB in the unit of depth: x right, y up, z towards the viewer. Returns how far the middle of
    its bounds is from the camera."""
    trimesh = runtime("trimesh", "web")
    height, width = prediction.depth.shape
    step = max(1, width // WIDEST)
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    points = prediction.points(intrinsics)[::step, ::step].numpy() * (1, -1, -1)
    depth = prediction.depth[::step, ::step].numpy()
    number = np.arange(depth.size).reshape(depth.shape)
    corners = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], -1).reshape(
        -1, 4
    )
    around = depth.ravel()[corners]
    smooth = around.max(1) < np.minimum(JUMP * around.min(1), FAR * np.quantile(depth, NEAR))
    faces = corners[smooth][:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    u, v = np.meshgrid((columns + 0.5) / width, 1 - (rows + 0.5) / height)
    texture = Image.fromarray(image.permute(1, 2, 0).numpy().copy())
    texture.thumbnail((2048, 2048))
    material = trimesh.visual.material.PBRMaterial(  # its own light, so that no lamp changes the colours
        baseColorFactor=[0, 0, 0, 255], emissiveFactor=[1, 1, 1], emissiveTexture=texture, doubleSided=True
    )
    look = trimesh.visual.TextureVisuals(np.stack([u.ravel(), v.ravel()], 1), material=material)
    mesh = trimesh.Trimesh(points.reshape(-1, 3), faces, visual=look, process=False)
    mesh.remove_unreferenced_vertices()
    write_bytes(path, trimesh.Scene(mesh).export(file_type="glb"))
    return float(np.linalg.norm(mesh.bounds.mean(0)))
