import pytest
import torch

from mono2many.data.augment import to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.video import VideoScoring
from mono2many.evaluate.photometric import PhotometricScore, Prediction, evaluate_photometric
from mono2many.evaluate.run import verdict
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.geometry.pose import invert
from mono2many.street.reader import StreetSettings, SyntheticReader


@pytest.fixture(scope="module")
def truth() -> Prediction:
    """Exact depth and motion of a street without traffic."""
    settings = StreetSettings(scenes=1, frames=3, height=96, width=320, moving=False)
    reader = SyntheticReader(settings, "test")
    batch = to_batch(ClipDataset(reader, (-1, 1)).batch([1]), (-1, 1), "cpu")
    poses = [reader.frame(0, i).world_from_camera for i in range(3)]
    assert batch.depth is not None
    world = [pose for pose in poses if pose is not None]
    moved = torch.stack([invert(world[i]) @ world[1] for i in (0, 2)])[None]
    return Prediction(batch, batch.depth.nan_to_num(1000.0), moved)


def test_exact_depth_and_motion_explain_the_neighbours_far_better_than_standing_still(
    truth: Prediction,
) -> None:
    score = evaluate_photometric([truth], [3.0, 10.0, 30.0])
    assert score.ratio < 0.35
    assert score.constant is not None
    assert score.predicted < 0.5 * score.constant
    assert score.constant_depth in (3.0, 10.0, 30.0)


def test_without_motion_every_depth_explains_as_much_as_standing_still(truth: Prediction) -> None:
    still = torch.eye(4).expand(1, 2, 4, 4)
    score = evaluate_photometric([Prediction(truth.batch, truth.depth, still)], [5.0])
    assert score.ratio == pytest.approx(1, abs=1e-3)
    assert score.constant == pytest.approx(score.still, abs=1e-4)


def test_a_verdict_names_depth_and_motion_and_of_other_footage_the_pose_network() -> None:
    lost, still = PhotometricScore(4, 1.5, 1.0), PhotometricScore(4, 1e-3, 1e-3)
    own = EvaluateConfig("starter")  # the street
    assert verdict(lost, own) == f"depth or motion is not confirmed: {lost.verdict}"
    other = EvaluateConfig("starter", DataConfig("video"), VideoScoring(data=("trip.mp4",)))
    assert verdict(lost, other).startswith(verdict(lost, own) + "; the model was not trained on this footage")
    assert "pose network" in verdict(lost, other)
    assert "pose network" not in verdict(still, other)  # nothing moves


def test_a_prediction_that_moves_everything_out_of_view_gains_nothing(truth: Prediction) -> None:
    away = torch.eye(4).repeat(1, 2, 1, 1)
    away[..., 2, 3] = -1e4  # far ahead: every point lies behind the source cameras
    score = evaluate_photometric([Prediction(truth.batch, truth.depth, away)])
    assert score.ratio == pytest.approx(1)
