"""The same on a GPU as on the CPU: `pytest -m gpu tests/test_gpu.py`, skipped where there is none."""

import copy
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.geometry.align import refine_motion
from mono2many.geometry.ground import fit_ground
from mono2many.geometry.pose import transform_from_pose
from mono2many.geometry.warp import warp
from mono2many.models.checkpoint import ModelCard
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import Predictor
from mono2many.train.plan import plan_at
from mono2many.train.settings import LossConfig, TrainConfig
from mono2many.train.steps import many_step, mono_step
from small_models import FILM, LIGHT, MANY, STREET, K, lively

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
MOTION = transform_from_pose(torch.tensor([[0.01, 0.03, -0.02]]), torch.tensor([[0.1, -0.05, 0.7]]))
NEAR = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(autouse=True)
def _float32() -> None:
    torch.backends.cudnn.allow_tf32 = False


def on(value: Any, device: str) -> Any:
    """A tensor, or a dataclass of tensors."""
    if isinstance(value, Tensor):
        return value.to(device)
    moved = {f.name: getattr(value, f.name) for f in fields(value)}
    return replace(value, **{n: v.to(device) for n, v in moved.items() if isinstance(v, Tensor)})


def raw() -> Any:
    return ClipDataset(STREET, (-1, 1)).batch([1, 2, 3])


def test_warp_and_its_gradients() -> None:
    image, depth = FILM[0][None] / 255.0, 4 + 9 * torch.rand(1, 64, 96)
    found = []
    for device, kind in (("cpu", torch.float64), ("cuda", torch.float32)):
        given = [x.to(device, kind).requires_grad_() for x in (image, depth, MOTION)]
        k = K[None].to(device, kind)
        view, inside = warp(*given, k, k)
        (view * inside.unsqueeze(1)).square().mean().backward()
        found.append([x.cpu().double() for x in (view.detach(), *(g.grad for g in given))])
    for ours, exact in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, exact, **NEAR)


def test_refined_motion_and_ground() -> None:
    now, then = (FILM[i][None] / 255.0 for i in (1, 0))
    frame = STREET.frame(0, 1)
    assert frame.depth is not None
    depth = frame.depth.nan_to_num(80.0)[None]
    made = [
        refine_motion(torch.eye(4, device=d)[None], *(x.to(d) for x in (now, then, depth, K[None]))).cpu()
        for d in ("cpu", "cuda")
    ]
    torch.testing.assert_close(made[1], made[0], rtol=1e-3, atol=2e-3)
    planes = [fit_ground((1 / depth).to(d), K[None].to(d)).plane.cpu() for d in ("cpu", "cuda")]
    torch.testing.assert_close(planes[1], planes[0], rtol=1e-3, atol=1e-3)


def test_augmentation() -> None:
    ours, theirs = (to_batch(raw(), (-1, 1), d, Augmentation(), 0, 3) for d in ("cuda", "cpu"))
    for name in ("target", "sources", "target_jittered", "sources_jittered", "intrinsics"):
        torch.testing.assert_close(getattr(ours, name).cpu(), getattr(theirs, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["mono", "features", "pixels"])
def test_a_step_and_its_gradients(kind: str) -> None:
    architecture = LIGHT if kind == "mono" else replace(MANY, match_by=kind)
    model = lively(MonoDepth(LIGHT) if kind == "mono" else ManyDepth(architecture))  # type: ignore[arg-type]
    batch = to_batch(raw(), (-1, 1), "cpu")
    plan = plan_at(TrainConfig(loss=LossConfig(ground=0.1)), architecture, 0.9)
    take = mono_step if kind == "mono" else many_step
    losses, gradients = [], []
    for device in ("cpu", "cuda"):
        network = copy.deepcopy(model).to(device)
        loss, _ = take(network, on(batch, device), plan)
        loss.backward()
        losses.append(loss.item())
        flat = [p.grad.flatten().cpu() for p in network.parameters() if p.grad is not None]
        gradients.append(torch.cat(flat))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert torch.cosine_similarity(*gradients, 0) > 0.99


@pytest.mark.parametrize("model", [MonoDepth(LIGHT), ManyDepth(MANY)], ids=["mono", "many"])
def test_a_stream(model: Any) -> None:
    lively(model)
    card = ModelCard(model.architecture, 64, 96)
    streams = [Predictor(copy.deepcopy(model), card, device).stream(K) for device in ("cpu", "cuda")]
    for image in FILM:
        exact, ours = (stream.disparity(image) for stream in streams)
        assert ((ours - exact).abs() / exact).median() < 1e-3
