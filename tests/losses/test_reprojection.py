import torch

from mono2many.losses.reprojection import auto_mask, average_over_sources, minimum_over_sources

ERRORS = torch.tensor([0.1, 0.6]).view(1, 2, 1, 1)


def counts(first: bool, second: bool) -> torch.Tensor:
    return torch.tensor([first, second]).view(1, 2, 1, 1)


def test_the_best_source_counts_and_the_mean_is_the_mean() -> None:
    assert minimum_over_sources(ERRORS, counts(True, True))[0].item() == ERRORS[0, 0].item()
    torch.testing.assert_close(average_over_sources(ERRORS, counts(True, True))[0].item(), 0.35)


def test_a_source_that_does_not_count_is_neither_the_best_nor_in_the_mean() -> None:
    for combine in (minimum_over_sources, average_over_sources):
        error, known = combine(ERRORS, counts(False, True))
        torch.testing.assert_close(error.item(), ERRORS[0, 1].item())
        assert known.item()


def test_where_nothing_counts_the_error_is_zero_and_gradients_are_finite() -> None:
    for combine in (minimum_over_sources, average_over_sources):
        errors = ERRORS.clone().requires_grad_()
        error, known = combine(errors, counts(False, False))
        error.sum().backward()
        assert error.item() == 0
        assert not known.item()
        assert errors.grad is not None
        assert torch.equal(errors.grad, torch.zeros_like(ERRORS))


def test_a_pixel_that_stands_still_better_is_masked_and_an_absent_neighbour_never_wins() -> None:
    warped, identity = torch.full((1, 1, 1), 0.3), torch.full((1, 1, 1), 0.2)
    yes, no = torch.ones(1, 1, 1, dtype=torch.bool), torch.zeros(1, 1, 1, dtype=torch.bool)
    assert not auto_mask(warped, yes, identity, yes).item()
    assert auto_mask(warped, yes, identity, no).item()
    assert not auto_mask(warped, no, identity, yes).item()
