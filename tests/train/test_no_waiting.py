"""Nothing in a training step waits for the device, all of it is on the device, and what surrounds the
networks is few operations, each of which costs the host of a GPU the same: found without a GPU.

Tensors of a FakeTensorMode have a device, shapes and no values. Operations that need a value on the host fail
there, as do those that mix devices; copies from the host are counted.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from mono2many.data import augment, rng
from mono2many.data.augment import Augmentation, change_hue, to_batch
from mono2many.data.dataset import ClipDataset
from mono2many.geometry import ground, warp
from mono2many.geometry.ground import DRAWN, DRAWS
from mono2many.losses import photometric
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.train.guard import FiniteGuard, all_finite
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe
from mono2many.train.settings import TrainConfig
from mono2many.train.steps import many_step, mono_step
from mono2many.types import Batch

LIGHT = MonoArchitecture("light", "light", scales=2, pose_type="light")
MANY = ManyArchitecture("light", "light", scales=2, pose_type="light", hypotheses=8)
TERMS = {
    "default": TrainConfig(),
    "reference": recipe("reference"),
    "scratch": recipe("scratch"),
    "video": recipe("video", "video", data=("a.mp4",)),
}


class NoCopies(TorchDispatchMode):
    """Fails where values go from the host to the device."""

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = op(*args, **(kwargs or {}))
        given = [value for value in args if isinstance(value, Tensor)]
        copies = op.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
        if copies and {"cpu", "cuda"} <= {value.device.type for value in [*given, made]}:
            raise AssertionError(f"{op} copies between host and device")
        return made


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A GPU without values."""
    with FakeTensorMode():
        table, draws = torch.empty(2**20, device="cuda"), torch.empty(1, DRAWS, DRAWN, device="cuda")
        monkeypatch.setattr(rng, "_normal_table", lambda seed, name: table)  # both are copied once in a run
        monkeypatch.setattr(ground, "_draws", lambda name: draws)
        yield torch.device("cuda")


@pytest.fixture(scope="module")
def real() -> Batch:
    reader = SyntheticReader(StreetSettings(scenes=1, frames=3, height=64, width=96), "train")
    batch = to_batch(ClipDataset(reader, (-1, 1)).batch([1, 0]), (-1, 1), "cpu")
    return replace(batch, valid_mask=torch.ones(2, 64, 96, dtype=torch.bool))


def like(batch: Batch, device: torch.device) -> Batch:
    """Tensors of the same shapes."""
    found = {f.name: getattr(batch, f.name) for f in fields(batch)}
    made = {
        name: torch.empty(value.shape, dtype=value.dtype, device=device)
        for name, value in found.items()
        if isinstance(value, Tensor)
    }
    return replace(batch, **made)


def on(device: torch.device, kind: type, architecture: MonoArchitecture) -> Any:
    with device:
        return kind(architecture)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", TERMS)
def test_a_step_of_monodepth_never_waits(
    real: Batch, device: torch.device, name: str, precision: str
) -> None:
    model, batch = on(device, MonoDepth, LIGHT), like(real, device)
    plan = plan_at(TERMS[name], LIGHT, 0.7)
    with NoCopies(), torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
        loss, output = mono_step(model, batch, plan, start_disparity=batch.target[:, 0])
    assert loss.device.type == "cuda"
    assert loss.dtype == torch.float32
    assert all_finite([loss, *output.scalars.values()]).device.type == "cuda"


@pytest.mark.parametrize("match_by", ["features", "pixels"])
def test_a_step_of_manydepth_never_waits(real: Batch, device: torch.device, match_by: Any) -> None:
    architecture = replace(MANY, match_by=match_by)
    model, batch = on(device, ManyDepth, architecture), like(real, device)
    plan = replace(plan_at(TrainConfig(), architecture, 0.7), range_momentum=0.99)
    with NoCopies():
        loss, output = many_step(model, batch, plan)
        assert output.sweep_range is not None
        model.depth.set_range(*output.sweep_range)
    assert loss.device.type == "cuda"


def test_a_change_of_hue_never_waits(device: torch.device) -> None:
    rgb, amount = torch.empty(2, 3, 3, 8, 8, device=device), torch.empty(2, 1, 1, 1, 1, device=device)
    with NoCopies():
        assert change_hue(rgb, amount).device.type == "cuda"


class Operations(TorchDispatchMode):
    """How many there are, without those that only look at a tensor otherwise."""

    count = 0

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not op.is_view
        return op(*args, **(kwargs or {}))


def test_augmentation_is_few_operations_whatever_is_drawn() -> None:
    frames = torch.randint(0, 256, (16, 3, 3, 4, 6), dtype=torch.uint8)
    u = rng.uniform(0, 5, torch.arange(16), 10)
    mirrored = u[:, 0] < 0.5
    with Operations() as operations:
        augment._images_at_once(frames, mirrored, u, Augmentation())
    assert operations.count <= 110


def test_a_step_has_few_operations_for_each_further_head(monkeypatch: Any, real: Batch) -> None:
    monkeypatch.setattr(photometric, "_images", lambda images: iter([()]))  # as on a GPU
    monkeypatch.setattr(warp, "_pieces", lambda depth: [slice(None)])
    counts = []
    for scales in (1, 4):
        architecture = replace(LIGHT, scales=scales)
        model, plan = MonoDepth(architecture), plan_at(TrainConfig(), architecture, 0.7)
        with Operations() as operations:
            mono_step(model, real, plan)[0].backward()
        counts.append(operations.count)
    assert counts[1] - counts[0] < 3 * 75


def test_the_guards_operations_do_not_grow_with_the_buffers() -> None:
    counts = []
    for layers in (1, 20):
        network = nn.Sequential(*(nn.BatchNorm1d(3) for _ in range(layers)))
        guard = FiniteGuard(network, Fabric(accelerator="cpu", devices=1))
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        loss = network(torch.randn(4, 3)).square().mean()
        loss.backward()
        optimiser.step()  # makes its state
        with Operations() as operations:
            guard.before_step()
            guard.apply(optimiser, [loss])
        counts.append(operations.count)
    assert counts[0] == counts[1] < 60


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: float(x.sum()),
        lambda x: x[x > 0],
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: x[[0, 1]],
        lambda x: x + torch.zeros(2, 2),
        lambda x: x.cpu(),
    ],
)
def test_what_waits_is_found(device: torch.device, waits: Any) -> None:
    values = torch.empty(2, 2, device=device)
    with NoCopies(), pytest.raises(Exception, match=r"copies|scalar|nonzero|device"):
        waits(values)
