"""A step in every variant, on the street, with networks small enough for a test."""

from dataclasses import replace

import pytest
import torch

from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.settings import LossConfig, ModelConfig, TrainConfig
from mono2many.train.steps import Draw, mono_step
from mono2many.types import Batch

LIGHT = MonoArchitecture("light", "light", pose_type="light")


@pytest.fixture(scope="module")
def batch() -> Batch:
    reader = SyntheticReader(StreetSettings(scenes=2, frames=3, height=64, width=96), "train")
    dataset = ClipDataset(reader, (-1, 1))
    return to_batch(dataset.batch([1, 4, 0]), (-1, 1), "cpu")


VARIANTS = {
    "papers": TrainConfig(),
    "reference": recipe("reference"),
    "own size": TrainConfig(loss=LossConfig(multi_scale="own")),
    "coarse to fine": TrainConfig(loss=LossConfig(multi_scale="coarse-to-fine")),
    "average": TrainConfig(loss=LossConfig(combine="average")),
    "no auto-mask": TrainConfig(loss=LossConfig(automask=False)),
    "ground": TrainConfig(loss=LossConfig(ground=0.1)),
    "two scales": TrainConfig(model=ModelConfig(scales=2)),
    "predictive mask": TrainConfig(model=ModelConfig(predictive_mask=True), loss=LossConfig(automask=False)),
    "posecnn, all frames": TrainConfig(model=ModelConfig(pose_type="posecnn", pose_input="all")),
    "shared pose": TrainConfig(model=ModelConfig(pose_type="shared")),
    "light pose": TrainConfig(model=ModelConfig(pose_type="light", padding="zeros")),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("progress", [0.0, 0.7])
def test_every_variant_has_a_finite_loss_that_moves_depth_and_pose(
    batch: Batch, name: str, progress: float
) -> None:
    m = VARIANTS[name].model
    architecture = replace(
        LIGHT,
        pose_type="separate" if m.pose_type == "separate" else m.pose_type,
        pose_input=m.pose_input,
        pose_encoder="light",
        scales=m.scales,
        padding=m.padding,
        predictive_mask=m.predictive_mask,
    )
    model = MonoDepth(architecture)
    loss, output = mono_step(model, batch, plan_at(VARIANTS[name], architecture, progress), with_images=True)
    loss.backward()
    assert loss.isfinite()
    assert loss > 0
    for part in (model.depth, model.pose):
        grads = [p.grad for p in part.parameters() if p.grad is not None]
        assert all(g.isfinite().all() for g in grads)
        assert sum(g.abs().sum() for g in grads) > 0
    assert set(output.images) == {"image", "disparity", "warped_first", "warped_last", "error", "mask"}
    assert {"photometric", "smoothness", "still", "sigmoid", "disparity_variation", "translation"} <= set(
        output.scalars
    )


def test_a_step_repeats_itself_and_changes_nothing_it_was_given(batch: Batch) -> None:
    model = MonoDepth(LIGHT).eval()
    plan = plan_at(TrainConfig(), LIGHT, 0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (mono_step(model, batch, plan, Draw(seed=1, step=2))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_coarse_to_fine_begins_at_a_quarter_and_ends_at_full_size() -> None:
    config = recipe("scratch")
    levels = [
        [level for _, level in plan_at(config, LIGHT, p).heads] for p in (0.0, 0.19, 0.2, 0.59, 0.6, 0.99)
    ]
    assert levels == [[2], [2], [1, 2], [1, 2], [0, 1], [0, 1]]


def test_the_grounds_hinge_waits_and_grows() -> None:
    config = TrainConfig(loss=LossConfig(ground=0.1))
    terms = [plan_at(config, LIGHT, p).terms for p in (0.0, 0.2, 0.3, 0.4, 0.74, 0.75)]
    assert [t.ground for t in terms] == pytest.approx([0, 0, 0.05, 0.1, 0.1, 0.1])


def test_the_late_auto_mask_sets_in_where_it_is_told_to() -> None:
    config = TrainConfig(loss=LossConfig(automask_from=0.5))
    assert [plan_at(config, LIGHT, p).terms.automask for p in (0.0, 0.49, 0.5, 1.0)] == [
        False,
        False,
        True,
        True,
    ]
