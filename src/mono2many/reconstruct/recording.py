"""Other viewers: a recording for Rerun, and viser's page."""

from math import atan
from pathlib import Path
from types import TracebackType

import torch

from mono2many.errors import library
from mono2many.files import writing
from mono2many.geometry.pose import quaternion_from_rotation
from mono2many.io.surfaces import PATH_COLOUR, Surface, y_up
from mono2many.reconstruct.fuse import PosedView
from mono2many.reconstruct.page import Reconstruction

LOOPBACK, PORT = "127.0.0.1", 8080
CAMERAS = 60
"""Shown in viser, at most."""


class Recording:
    """An .rrd file of views and surface; it is there when the block has ended without an error."""

    def __init__(self, path: Path, name: str) -> None:
        self.rr, self.path = library("rerun", "rerun"), path
        self.stream = self.rr.RecordingStream(f"mono2many: {name}")
        self.centres: list[list[float]] = []

    def __enter__(self) -> "Recording":
        self.stream.log("world", self.rr.ViewCoordinates.RDF, static=True)
        return self

    def add(self, view: PosedView) -> None:
        rr, pose = self.rr, view.world_from_camera
        self.centres.append(pose[:3, 3].tolist())
        self.stream.set_time("view", sequence=len(self.centres) - 1)
        placed = rr.Transform3D(translation=pose[:3, 3].tolist(), mat3x3=pose[:3, :3].tolist())
        self.stream.log("world/camera", placed)
        height, width = view.depth.shape
        pinhole = rr.Pinhole(image_from_camera=view.intrinsics.tolist(), width=width, height=height)
        self.stream.log("world/camera/image", pinhole)
        self.stream.log("world/camera/image", rr.Image(view.image.movedim(0, 2).numpy()).compress())

    def add_surface(self, surface: Surface) -> None:
        rr, points, colours = self.rr, surface.points.numpy(), surface.colours.numpy()
        if len(surface.triangles):
            mesh = rr.Mesh3D(
                vertex_positions=points, vertex_colors=colours, triangle_indices=surface.triangles.numpy()
            )
            self.stream.log("world/surface", mesh, static=True)
        else:
            self.stream.log("world/surface", rr.Points3D(points, colors=colours), static=True)
        self.stream.log("world/path", rr.LineStrips3D([self.centres], colors=[PATH_COLOUR]), static=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            with writing(self.path) as temporary:
                temporary.write_bytes(self.stream.memory_recording().drain_as_bytes())


def serve(found: Reconstruction, port: int = PORT) -> object:
    """Viser's page of a reconstruction, on this machine only, until the server that is returned stops."""
    viser = library("viser", "three")
    server = viser.ViserServer(host=LOOPBACK, port=port, verbose=False)
    server.scene.set_up_direction("+y")
    points, colours = y_up(found.surface.points).numpy(), found.surface.colours.numpy()
    server.scene.add_point_cloud("/surface", points, colours, point_size=found.cell)
    poses = found.world_from_camera[:: -(-len(found.world_from_camera) // CAMERAS)]
    turns = quaternion_from_rotation(torch.diag(y_up(poses.new_ones(1, 3))[0]) @ poses[:, :3, :3])
    height, aspect = 2 * atan(found.half_view[1]), found.half_view[0] / found.half_view[1]
    for number, ((x, y, z, w), place) in enumerate(
        zip(turns.tolist(), y_up(poses[:, :3, 3]).tolist(), strict=True)
    ):
        server.scene.add_camera_frustum(
            f"/camera/{number}", height, aspect, scale=2 * found.cell, color=PATH_COLOUR,
            wxyz=(w, x, y, z), position=tuple(place),
        )  # fmt: skip
    return server
