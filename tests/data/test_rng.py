import torch

from mono2many.data.rng import gaussian, shuffled, uniform


def test_a_draw_depends_on_seed_step_and_sample_and_on_nothing_else() -> None:
    samples = torch.tensor([3, 8, 5])
    together = uniform(1, 7, samples, 100)
    alone = uniform(1, 7, samples[1:2], 100)
    assert torch.equal(together[1:2], alone)
    for other in (uniform(2, 7, samples, 100), uniform(1, 8, samples, 100), uniform(1, 7, samples + 1, 100)):
        assert (other != together).all(1).all()


def test_draws_are_uniform_and_independent() -> None:
    u = uniform(0, 0, torch.arange(200), 500)
    assert u.min() > 0
    assert u.max() < 1
    assert abs(u.mean().item() - 0.5) < 0.005  # 100,000 draws: sigma 0.0009
    assert abs(u.var().item() - 1 / 12) < 0.002
    between = torch.corrcoef(u[:20]) - torch.eye(20)
    assert between.abs().max() < 0.25  # 500 positions: sigma 0.045


def test_gaussian_draws_have_mean_0_and_variance_1() -> None:
    g = gaussian(0, 0, torch.arange(100), 1001)
    assert g.shape == (100, 1001)
    assert abs(g.mean().item()) < 0.015
    assert abs(g.var().item() - 1) < 0.03


def test_an_epochs_order_is_a_permutation_of_its_own() -> None:
    assert sorted(shuffled(0, 0, 50).tolist()) == list(range(50))
    assert torch.equal(shuffled(0, 1, 50), shuffled(0, 1, 50))
    assert not torch.equal(shuffled(0, 0, 50), shuffled(0, 1, 50))
    assert not torch.equal(shuffled(1, 0, 50), shuffled(0, 0, 50))
