"""Points and meshes come back from their files as they were, with y up in GLB."""

import sys
from pathlib import Path

import pytest
import torch
import trimesh

from mono2many.errors import InputError
from mono2many.io.surfaces import Surface, grid_stride, grid_triangles, write_glb, write_ply

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
    colours = shapes["surface"].visual.vertex_colors if triangles else shapes["surface"].colors
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
