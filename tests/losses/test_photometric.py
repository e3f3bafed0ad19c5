import torch
from torch import Tensor
from torch.nn import functional as F

from mono2many.losses.photometric import C1, C2, box_mean, patches, photometric_error


def plain_ssim_loss(view: Tensor, target: Tensor) -> Tensor:
    """The same formula by padding and pooling."""
    mean = lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)  # noqa: E731
    a, b = mean(view), mean(target)
    var_a, var_b = mean(view**2) - a**2, mean(target**2) - b**2
    covariance = mean(view * target) - a * b
    likeness = (2 * a * b + C1) * (2 * covariance + C2) / ((a**2 + b**2 + C1) * (var_a + var_b + C2))
    return ((1 - likeness) / 2).clamp(0, 1)


def ssim_loss(view: Tensor, target: Tensor) -> Tensor:
    """The fast path's, per channel: each is an image of its own, less its absolute difference."""
    error = photometric_error(view.unsqueeze(-3), patches(target.unsqueeze(-3)))
    return (error - 0.15 * (view - target).abs()) / 0.85


def test_a_picture_is_like_itself() -> None:
    picture = torch.rand(1, 3, 8, 9)
    torch.testing.assert_close(photometric_error(picture, patches(picture)), torch.zeros(1, 8, 9))


def test_plain_grey_against_plain_grey_is_the_formula_of_means_alone() -> None:
    grey, light = torch.full((1, 3, 5, 5), 0.4), torch.full((1, 3, 5, 5), 0.5)
    ssim = (2 * 0.4 * 0.5 + C1) / (0.4**2 + 0.5**2 + C1)
    expected = 0.85 * (1 - ssim) / 2 + 0.15 * 0.1
    torch.testing.assert_close(photometric_error(grey, patches(light)), torch.full((1, 5, 5), expected))


def test_without_ssim_the_error_is_the_mean_absolute_difference() -> None:
    view, target = (
        torch.zeros(1, 3, 4, 4),
        torch.tensor([0.1, 0.2, 0.6])[None, :, None, None].expand(1, 3, 4, 4),
    )
    torch.testing.assert_close(
        photometric_error(view, patches(target), ssim=False), torch.full((1, 4, 4), 0.3)
    )


def test_a_box_in_the_corner_counts_the_reflected_pixels() -> None:
    picture = torch.arange(9.0).view(1, 3, 3)
    # around (0, 0) the reflection has rows 1 0 1 and columns 1 0 1
    torch.testing.assert_close(
        box_mean(picture)[0, 0, 0], torch.tensor((4 + 3 + 4 + 1 + 0 + 1 + 4 + 3 + 4) / 9)
    )


def test_the_fast_path_equals_the_plain_one_in_values_and_gradients() -> None:
    view = torch.rand(2, 3, 7, 10, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 7, 10, dtype=torch.float64)
    weight = torch.rand(2, 3, 7, 10, dtype=torch.float64)
    fast, plain = ssim_loss(view, target), plain_ssim_loss(view, target)
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    ours, theirs = (torch.autograd.grad((x * weight).sum(), view)[0] for x in (fast, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_box_has_its_own_adjoint_as_gradient() -> None:
    for size in ((2, 2), (3, 2), (5, 4)):
        picture = torch.rand(1, *size, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(box_mean, picture)


def test_errors_agree_with_the_reference_program(parity: dict[str, Tensor]) -> None:
    view, target = parity["sources"][:, 0], parity["target"]
    plain = plain_ssim_loss(view, target)
    torch.testing.assert_close(plain, parity["ssim_loss"], rtol=1e-5, atol=1e-6)
    # The fast path adds nine numbers in another order than the reference. In float32 that shows, magnified by
    # SSIM's small denominators: the reference itself is 1e-4 from the exact value, and so are we.
    ours, exact = ssim_loss(view, target), plain_ssim_loss(view.double(), target.double())
    assert (ours - exact).norm() < 1.5 * (parity["ssim_loss"] - exact).norm() < 1e-4 * exact.norm()
    double = photometric_error(view.double(), patches(target.double()))
    plain_error = 0.85 * exact.mean(1) + 0.15 * (view.double() - target.double()).abs().mean(1)
    torch.testing.assert_close(double, plain_error, rtol=1e-10, atol=1e-12)
    assert (double - parity["pe_source0"][:, 0]).norm() < 1e-4 * double.norm()
