"""Geometry has float32's digits where products of matrices, or all of the networks, are allowed fewer."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from mono2many.geometry.align import refine_motion
from mono2many.geometry.pose import invert, transform, transform_from_pose
from mono2many.geometry.precision import full_precision
from mono2many.geometry.warp import pixel_rays, project, warp

K = torch.tensor([[[300.0, 0, 160], [0, 310, 48], [0, 0, 1]]])
MOTION = transform_from_pose(torch.tensor([[0.01, 0.03, -0.02]]), torch.tensor([[0.1, -0.05, 0.7]]))
DEPTH = 5 + 20 * torch.rand(1, 96, 320, generator=torch.Generator().manual_seed(0))
POINTS = pixel_rays(K, 96, 320) * DEPTH.flatten(1)
IMAGE = torch.rand(1, 3, 12, 40, generator=torch.Generator().manual_seed(1)).repeat_interleave(8, 2)
IMAGE = torch.nn.functional.avg_pool2d(IMAGE.repeat_interleave(8, 3), 5, 1, 2)
WHAT: dict[str, Callable[..., Tensor]] = {
    "rays": lambda k, *_: pixel_rays(k, 96, 320),
    "pixels": lambda k, m, d, p, i: project(p, k)[0],
    "points": lambda k, m, d, p, i: transform(m, p),
    "inverse": lambda k, m, d, p, i: invert(m),
    "view": lambda k, m, d, p, i: warp(i, d, m, k, k)[0],
}


@pytest.fixture
def fewer_digits() -> Iterator[None]:
    """Of products on processors that have bfloat16, and of whatever autocast knows."""
    torch.set_float32_matmul_precision("medium")
    with torch.autocast("cpu", torch.bfloat16):
        yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("name", WHAT)
def test_geometry_keeps_its_digits(fewer_digits: None, name: str) -> None:
    given = K, MOTION, DEPTH, POINTS, IMAGE
    found = WHAT[name](*given)
    with torch.autocast("cpu", enabled=False):
        exact = WHAT[name](*(x.double() for x in given))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=2e-3 if name == "view" else 1e-3)


def test_refined_motion_keeps_its_digits(fewer_digits: None) -> None:
    view = warp(IMAGE, DEPTH, MOTION, K, K)[0]
    begin = torch.eye(4)[None]
    found = refine_motion(begin, view, IMAGE, DEPTH, K)
    torch.set_float32_matmul_precision("highest")
    with torch.autocast("cpu", enabled=False):
        assert torch.equal(found, refine_motion(begin, view, IMAGE, DEPTH, K))


def test_the_precision_of_products_comes_back_after_an_error(fewer_digits: None) -> None:
    def fail() -> None:
        assert torch.get_float32_matmul_precision() == "highest"
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), full_precision(K):
        fail()
    assert torch.get_float32_matmul_precision() == "medium"
