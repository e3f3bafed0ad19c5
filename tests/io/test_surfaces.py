"""Points and meshes come back from their files as they were, with y up in GLB."""

import json
import sys
from pathlib import Path

import pytest
import torch
import trimesh

from mono2many.errors import InputError
from mono2many.io.surfaces import (
    Surface,
    grid_stride,
    grid_triangles,
    linear,
    without_loose_points,
    write_glb,
    write_ply,
)

POINTS = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [1.0, 5.0, 3.0]])
COLOURS = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
PATH = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 7.0]])


def test_a_ply_file_holds_points_and_the_cameras_places(tmp_path: Path) -> None:
    write_ply(tmp_path / "new" / "a.ply", Surface(POINTS, COLOURS), PATH)
    found = trimesh.load(tmp_path / "new" / "a.ply")
    assert torch.from_numpy(found.vertices).float().tolist() == [*POINTS.tolist(), *PATH.tolist()]
    assert found.colors[:3, :3].tolist() == COLOURS.tolist()


@pytest.mark.parametrize("triangles", [[[0, 2, 1]], []])
def test_a_glb_file_holds_mesh_or_points_with_y_up_and_the_path(
    tmp_path: Path, triangles: list[list[int]]
) -> None:
    surface = Surface(POINTS, COLOURS, torch.tensor(triangles, dtype=torch.int64).view(-1, 3))
    write_glb(tmp_path / "a.glb", surface, PATH)
    shapes = trimesh.load_scene(tmp_path / "a.glb").geometry
    assert shapes["surface"].vertices.tolist() == [[1, -2, -3], [4, -5, -6], [1, -5, -3]]
    assert getattr(shapes["surface"], "faces", trimesh.util.np.empty((0, 3))).tolist() == triangles
    colours = shapes["surface"].visual.vertex_attributes["color"] if triangles else shapes["surface"].colors
    assert colours[:, :3].tolist() == COLOURS.tolist()
    assert [0, 0, -7] in shapes["camera path"].vertices.tolist()


def test_four_pixels_make_two_triangles_that_face_the_camera() -> None:
    triangles = grid_triangles(torch.full((2, 2), 5.0))
    assert triangles.tolist() == [[0, 2, 1], [1, 2, 3]]
    y_up = torch.tensor([[0.0, 0, -5], [1, 0, -5], [0, -1, -5], [1, -1, -5]])
    a, b, c = y_up[triangles].unbind(1)
    assert torch.linalg.cross(b - a, c - a)[:, 2].tolist() == [1, 1]  # towards +z, where the camera is


def test_no_triangle_bridges_a_jump_in_depth() -> None:
    """Of three squares in a row the one in the middle is cut: 10 to 12 is a fifth."""
    depth = torch.tensor([[10.0, 10.0, 12.0, 13.0]]).expand(2, 4)
    assert sorted(grid_triangles(depth).tolist()) == [[0, 4, 1], [1, 4, 5], [2, 6, 3], [3, 6, 7]]
    assert len(grid_triangles(depth, 0.25)) == 6
    assert [grid_stride((100, width)) for width in (640, 641, 1280, 1281)] == [1, 2, 2, 3]


def test_a_library_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(
        InputError, match=r"needs trimesh, which is not installed: pip install 'mono2many\[three\]'"
    ):
        write_ply(tmp_path / "a.ply", Surface(POINTS, COLOURS))


def test_colours_of_glb_are_linear_and_no_lamp_changes_them(tmp_path: Path) -> None:
    assert linear(torch.tensor([[0, 10, 128], [188, 200, 255]], dtype=torch.uint8)).tolist() == [
        [0, 1, 55],  # (128 / 255 + .055) / 1.055 to the power of 2.4 is .2159
        [128, 147, 255],
    ]
    points = torch.tensor([[0.0, 0, 1], [1, 0, 1], [0, 1, 1]])
    surface = Surface(points, torch.full((3, 3), 188, dtype=torch.uint8), torch.tensor([[0, 2, 1]]))
    write_glb(tmp_path / "a.glb", surface)
    data = (tmp_path / "a.glb").read_bytes()
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    (primitive,) = tree["meshes"][0]["primitives"]
    assert "KHR_materials_unlit" in tree["materials"][primitive["material"]]["extensions"]
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]


def test_a_mesh_has_no_sky_and_no_points_beyond_its_triangles() -> None:
    depth = torch.tensor([[500.0, 500, 500], [5, 5, 5], [5, 5, 5]])
    triangles = grid_triangles(depth)
    assert len(triangles) == 4  # of the lower two squares: 12 times the 5th percentile, 5, is 60
    points = torch.arange(27.0).view(9, 3)
    mesh = without_loose_points(Surface(points, points.byte(), triangles))
    assert torch.equal(mesh.points, points[3:])
    assert torch.equal(mesh.points[mesh.triangles], points[triangles])
