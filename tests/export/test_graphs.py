"""What is exported, run by PyTorch itself: against the model that it was made of."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mono2many.errors import InputError
from mono2many.export.graphs import MatchGraph, Part, parts_of, with_fixed_padding
from mono2many.geometry import align, sweep
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.checkpoint import ModelCard
from mono2many.models.encoder import make_encoder
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict import stream as stream_module
from mono2many.predict.exported import Exported, ExportNotes
from mono2many.predict.predictor import Predictor
from mono2many.predict.sessions import Session
from mono2many.predict.trajectory import trajectory
from small_models import FILM, LIGHT, MANY, K, lively


def session_of(part: Part) -> Session:
    def run(**inputs: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return dict(zip(part.outputs, part.graph(**inputs), strict=True))

    return run


def both(architecture: MonoArchitecture, factor: float = 1.0) -> tuple[Predictor, Predictor]:
    """A model, and its graphs in place of an export's files."""
    torch.manual_seed(0)
    many = isinstance(architecture, ManyArchitecture)
    model = lively(ManyDepth(architecture) if many else MonoDepth(architecture))  # type: ignore[arg-type]
    scale = "up to scale" if factor == 1 else "metres"
    card = ModelCard(architecture, 64, 96, scale=scale, factor=factor)
    parts = parts_of(model, card, (64, 96), everything=True, half=False)
    features = parts[0].inputs.get("previous_features")
    shape = () if features is None else tuple(features.shape[2:])
    notes = ExportNotes("onnx", "fp32", tuple(part.name for part in parts), features=shape)
    exported = Exported(Path("nowhere"), card, notes, torch.device("cpu"))
    exported.sessions = {part.name: session_of(part) for part in parts}
    return Predictor(model, card), Predictor(exported, card)


@pytest.mark.parametrize("matching", [(-1,), (-1, -2), (-1, 1, -3), (-2,)])
@pytest.mark.parametrize("match_by", ["features", "pixels"])
def test_a_streams_graph_gives_what_the_model_gives(
    matching: tuple[int, ...], match_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the depth of random networks refinement magnifies roundings ten thousandfold: something smooth of
    the same inputs stands for it (test_align.py has a runtime refine)."""

    def smooth(motion: Tensor, target: Tensor, sources: Tensor, disparity: Tensor, k: Tensor) -> Tensor:
        further = target.mean() + 2 * sources.mean() + disparity.mean() + k[:, 0, 0].mean() / 100
        return motion + further * ahead

    ahead = torch.zeros(4, 4)
    ahead[2, 3] = 1.0
    monkeypatch.setattr(stream_module, "refine_motions", smooth)
    own, exported = both(replace(MANY, matching=matching, match_by=match_by), factor=3.0)  # type: ignore[arg-type]
    streams = own.stream(K), exported.stream(K)
    repeated = [*FILM[:3], FILM[2], *FILM[3:]]  # the camera halts once
    for image in repeated:
        wanted, found = (stream(image).depth for stream in streams)
        off = ((found - wanted) / wanted).abs().flatten()
        assert off.median() < 1e-5


def test_the_streams_frames_matter() -> None:
    _, exported = both(MANY)
    stream = exported.stream(K)
    stream(FILM[0])
    assert (stream(FILM[1]).depth / exported(FILM[1]).depth - 1).abs().median() > 1e-3


@pytest.mark.parametrize("kind", ["light", "posecnn", "shared", "separate"])
def test_the_trajectory_of_an_exported_pose_network_is_the_models(kind: str) -> None:
    own, exported = both(replace(LIGHT, pose_type=kind, pose_encoder="light"), factor=2.0)  # type: ignore[arg-type]
    camera = lambda height, width: K  # noqa: E731
    wanted, found = (trajectory(p, FILM, camera) for p in (own, exported))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert wanted[-1, :3, 3].norm() > 0.01


def test_matching_along_known_motion_is_the_models() -> None:
    model = lively(ManyDepth(MANY))
    assert isinstance(model, ManyDepth)
    first, second = (image[None] / 255 for image in FILM[:2])
    motion = torch.eye(4)[None, None].clone()
    motion[..., 2, 3] = 0.5
    exists = torch.ones(1, 1)
    with torch.no_grad():
        wanted = 4 / model.disparity(second, first[:, None], exists > 0, K[None], motion=motion)
        before = model.depth.matching_features(first)[:, None]
        metres = motion.clone()
        metres[..., 2, 3] = 2.0  # of 4 metres a unit
        found, _ = MatchGraph(model, 4.0)(second, before, metres, exists, K[None])
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_sampling_is_the_look_up_tables_twin() -> None:
    current, matching = torch.rand(1, 5, 12, 16), torch.rand(1, 2, 5, 24, 32)
    x, y = 4 + 20 * torch.rand(1, 2, 3, 8, 12), 4 + 12 * torch.rand(1, 2, 3, 8, 12)
    wanted = sweep._Table(current, matching, torch.float32).difference(x, y)
    torch.testing.assert_close(
        sweep._sampled_difference(current, matching, x, y), wanted, rtol=1e-4, atol=1e-5
    )


def test_elimination_is_the_solvers_twin() -> None:
    a, b = torch.randn(3, 8, 8, dtype=torch.float64), torch.randn(3, 8, 1, dtype=torch.float64)
    positive = a @ a.mT + torch.eye(8)
    torch.testing.assert_close(align._eliminate(positive, b), torch.linalg.solve(positive, b))


def test_padding_by_the_stride_changes_nothing_for_sides_in_multiples_of_32() -> None:
    encoder = make_encoder("tf_efficientnet_lite0", "none").eval()
    image = torch.rand(2, 3, 96, 160)
    with torch.no_grad():
        for own, fixed in zip(encoder(image), with_fixed_padding(encoder)(image), strict=True):
            assert (own is None) == (fixed is None)
            if own is not None:
                torch.testing.assert_close(fixed, own)


def test_a_part_that_the_model_has_not_is_refused() -> None:
    with pytest.raises(InputError, match="no pose network that looks at pairs"):
        both(replace(LIGHT, pose_input="all"))
    _, exported = both(LIGHT)
    assert isinstance(exported.model, Exported)
    exported.model.notes = replace(exported.model.notes, parts=("depth",))
    with pytest.raises(InputError, match="no part 'pose'"):
        exported.pose(FILM[0], FILM[1])


def test_images_of_another_size_are_refused() -> None:
    _, exported = both(LIGHT)
    with pytest.raises(InputError, match="exported for 96x64, not 128x64"):
        exported.from_inputs(torch.rand(1, 3, 64, 128))
