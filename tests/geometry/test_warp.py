import torch
from torch import Tensor

from mono2many.geometry.camera import intrinsics_matrix
from mono2many.geometry.pose import rigid, transform
from mono2many.geometry.warp import backproject, project, sample, warp

HEIGHT, WIDTH = 9, 17
CAMERA = intrinsics_matrix(20.0, 20.0, 8.0, 4.0).double()[None]


def shift(*xyz: float) -> Tensor:
    return rigid(torch.eye(3), torch.tensor(xyz, dtype=torch.float32)).double()[None]


def ramp() -> Tensor:
    """Each pixel holds its own column and row, so that a view tells where it was taken from."""
    row, column = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([column, row])[None].double()


def wall(depth: float) -> Tensor:
    return torch.full((1, HEIGHT, WIDTH), depth).double()


def test_a_still_camera_changes_nothing() -> None:
    picture = torch.rand(1, 3, HEIGHT, WIDTH).double()
    view, seen = warp(picture, wall(3.7), shift(0, 0, 0), CAMERA, CAMERA)
    torch.testing.assert_close(view, picture, atol=1e-5, rtol=0)  # z + 1e-7, not a half pixel
    assert seen[:, 1:-1, 1:-1].all()


def test_a_sideways_step_shifts_a_wall_by_focal_over_depth() -> None:
    view, seen = warp(ramp(), wall(10.0), shift(1, 0, 0), CAMERA, CAMERA)  # 20 * 1 / 10 = 2 columns
    torch.testing.assert_close(view[0, 0, :, :-2], ramp()[0, 0, :, 2:], atol=1e-5, rtol=0)
    assert not seen[..., -1].any()
    assert seen[..., 1:-3, :-3].all()


def test_forward_motion_expands_about_the_principal_point() -> None:
    # the camera moves 5 towards a wall at 10: what was at radius r is seen at radius 2 r
    view, _ = warp(ramp(), wall(10.0), shift(0, 0, -5), CAMERA, CAMERA)
    columns = view[0, 0, 4]
    torch.testing.assert_close(columns[8], torch.tensor(8.0).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(columns[10] - columns[6], torch.tensor(8.0).double(), atol=1e-5, rtol=0)


def test_what_lies_behind_the_source_camera_is_not_seen() -> None:
    _, seen = warp(ramp(), wall(2.0), shift(0, 0, -3), CAMERA, CAMERA)
    assert not seen.any()


def test_a_pixel_projects_back_onto_itself() -> None:
    depth = torch.rand(1, HEIGHT, WIDTH).double() + 1
    pixels, z = project(backproject(depth, CAMERA), CAMERA)
    torch.testing.assert_close(z, depth.flatten(1))
    torch.testing.assert_close(pixels.transpose(1, 2).view(1, 2, HEIGHT, WIDTH), ramp(), atol=1e-5, rtol=0)


def test_between_four_pixels_lies_their_mean() -> None:
    picture = torch.tensor([[[[0.0, 1], [2, 5]]]])
    view, inside = sample(picture, torch.tensor([[[[0.5, 0.5], [1.5, 0.0]]]]))
    torch.testing.assert_close(view.flatten(), torch.tensor([2.0, 1.0]))  # beyond the border: repeated
    assert inside.flatten().tolist() == [True, False]


def test_depth_and_motion_have_the_gradients_that_differences_show() -> None:
    # on a ramp the view is the column that is looked at, without the kinks of a textured picture
    depth = (torch.rand(1, HEIGHT, WIDTH).double() + 4).requires_grad_()
    motion = shift(0.13, 0.02, 0.1).requires_grad_()

    def inner(d: Tensor, m: Tensor) -> Tensor:
        return warp(ramp(), d, m, CAMERA, CAMERA)[0][..., 2:-2, 2:-2]

    assert torch.autograd.gradcheck(inner, (depth, motion), eps=1e-6, atol=1e-4)


def test_a_depth_that_is_not_a_number_is_not_seen_and_harms_nobody() -> None:
    image, weight = torch.rand(2, 1, 3, HEIGHT, WIDTH).double()
    weight[..., 0, :4] = 0  # of the pixels in question
    gradients = []
    for unknown in (2.0, torch.nan, torch.inf):
        depth, motion = wall(2.0), shift(0.1, 0.05, 0.1)
        depth[0, 0, :4] = unknown
        inputs = depth.requires_grad_(), motion.requires_grad_()
        view, seen = warp(image, *inputs, CAMERA, CAMERA)
        assert view.isfinite().all()
        assert seen[0, 0, :4].any() == (unknown == 2)
        gradients.append(torch.autograd.grad((view * weight).sum(), inputs))
    for found in gradients[1:]:
        torch.testing.assert_close(found, gradients[0], rtol=0, atol=0)


def test_a_point_in_the_plane_of_the_source_camera_harms_nobody() -> None:
    depth, motion = wall(2.0).requires_grad_(), shift(0, 0, -2 - 1e-7).requires_grad_()  # z + 1e-7 = 0
    view, seen = warp(torch.rand(1, 3, HEIGHT, WIDTH).double(), depth, motion, CAMERA, CAMERA)
    view.sum().backward()
    assert not seen.any()
    assert motion.grad is not None
    assert motion.grad.isfinite().all()


def test_the_written_out_gradient_equals_that_of_the_plain_composition() -> None:
    values = [
        torch.rand(2, 3, HEIGHT, WIDTH).double(),
        torch.rand(2, HEIGHT, WIDTH).double() + 2,
        torch.cat([shift(0.2, 0.1, 0.3), shift(-0.1, 0.2, -0.2)]) + 0.02 * torch.rand(2, 4, 4).double(),
        CAMERA.repeat(2, 1, 1),
        CAMERA.repeat(2, 1, 1) + torch.rand(2, 3, 3).double(),
    ]
    inputs = [value.requires_grad_() for value in values]
    source, depth, motion, camera, source_camera = inputs
    pixels, z = project(transform(motion, backproject(depth, camera)), source_camera)
    plain, inside = sample(source, pixels.unflatten(1, (HEIGHT, WIDTH)))
    view, seen = warp(source, depth, motion, camera, source_camera)
    torch.testing.assert_close(view, plain)
    assert torch.equal(seen, inside & (z.view_as(seen) > 1e-3))
    weight = torch.rand_like(view)
    ours, theirs = (torch.autograd.grad((x * weight).sum(), inputs) for x in (view, plain))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
