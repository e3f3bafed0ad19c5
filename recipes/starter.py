"""Train the starter model that ships with mono2many, again from the beginning.

    python recipes/starter.py --out outputs/first
    python recipes/starter.py --out outputs/starter --start-from outputs/first --steps 900 --new-pairs 0.75

A depth network with ImageNet weights learns from exact depth of the embedded street, drawn anew all the time
by worker processes, and a pose network learns from its exact camera motion. Nothing else is seen. What the
network predicts is depth as a camera of focal length 0.58 x width would have it: the images do not tell focal
length from size, hence depth and translation are supervised times 0.58 x width / focal length.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import tyro
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from torchvision.transforms import v2

from mono2many.data.synthetic import StreetSettings, SyntheticReader
from mono2many.geometry.pose import transform_from_pose
from mono2many.losses.supervised import supervised_objective
from mono2many.models.checkpoint import ModelCard, load_weights, read_card, save_model
from mono2many.models.mono import MonoArchitecture, MonoDepth
from mono2many.train.optim import learning_rate
from mono2many.types import Frame

FOCAL = 0.58
"""Focal length, as a share of the width, of the camera in whose unit depth is predicted."""
REACH = 80.0
"""Metres beyond which depth must only be far."""
Size = tuple[int, int]


class Shape(NamedTuple):
    """One kind of batch."""

    drawn: Size
    """Height and width of the frames that are drawn."""
    size: Size
    """Of the samples cut out of them."""
    samples: int
    """In a batch."""
    variety: Literal["town", "wide"] = "wide"


SMALL = (
    Shape((128, 416), (96, 320), 8),
    Shape((224, 384), (160, 288), 5),
    Shape((240, 320), (192, 256), 5),
)
"""Of the first stage's steps, in turn."""
LARGE = (
    Shape((192, 640), (192, 640), 2),
    Shape((288, 512), (288, 512), 2),
    Shape((288, 384), (288, 384), 3),
)
"""Of its last part."""
MEDIUM = (
    Shape((160, 512), (128, 416), 6),
    Shape((224, 384), (192, 352), 4),
    Shape((160, 512), (128, 416), 6, "town"),
    Shape((240, 320), (192, 256), 6),
)
"""Of the second stage."""
SIZES = ((160, 512), (224, 384), (224, 288))
"""At which the model predicts: on unseen streets, better than larger ones."""
LARGE_FROM = 0.5
"""Share of the training's steps after which it is at large sizes."""
POOL = 300
"""Pairs kept of each shape; every step draws from them and replaces the oldest."""
FEWEST = 6
"""Pairs of each shape before the first step."""
TESTED = 20
"""Unseen streets of each kind that a score looks at."""


@dataclass(frozen=True)
class Settings:
    """Train the starter model."""

    out: Path = Path("outputs/starter")
    """Model folder to write."""
    steps: int = 1900
    """Length of the training."""
    variety: Literal["town", "wide"] | None = None
    """Streets of one kind only, to compare: those of the demo, or all kinds."""
    start_from: Path | None = None
    """Folder of a first stage: go on with its weights, at medium sizes."""
    encoder_weights: str = "imagenet"
    """imagenet (from the extra `weights`), none, or a file."""
    new_pairs: float = 1.0
    """Pairs of frames drawn anew for each step."""
    workers: int = 1
    """Processes that draw."""
    seed: int = 0
    """Of first weights, streets and augmentation."""
    report_every: int = 475
    """Steps between scores on unseen streets."""
    large: bool = True
    """End the first stage at large sizes; else all its steps are at small ones."""


class Pair(NamedTuple):
    """Two frames of one street."""

    images: UInt8[Tensor, "2 3 H W"]
    depth: Float[Tensor, "2 H W"]
    """Metres, NaN in the sky."""
    focal: float
    """In pixels."""
    second_from_first: Float[Tensor, "4 4"]


class Streets(IterableDataset[Pair]):
    """Endless pairs, one of every street; each worker draws its own share of the streets."""

    def __init__(self, size: Size, variety: str, seed: int, first: int) -> None:
        self.settings = StreetSettings(2**31, 3, *size, seed=seed, variety=variety)  # type: ignore[arg-type]
        self.first = first

    def __iter__(self) -> Iterator[Pair]:
        torch.set_num_threads(1)
        info = get_worker_info()
        at, stride = (0, 1) if info is None else (info.id, info.num_workers)
        reader = SyntheticReader(self.settings, "train")
        for scene in range(self.first + at, 2**31, stride):
            yield pair_of(reader.frame(scene, 0), reader.frame(scene, 1 + scene // stride % 2))


def pair_of(first: Frame, second: Frame) -> Pair:
    world_from_first, world_from_second = first.world_from_camera, second.world_from_camera
    assert world_from_first is not None
    assert world_from_second is not None
    relative = torch.linalg.inv(world_from_second.double()) @ world_from_first.double()
    depth = [frame.depth for frame in (first, second) if frame.depth is not None]
    images = torch.stack([first.image, second.image])
    return Pair(images, torch.stack(depth), float(first.intrinsics[0, 0]), relative.float())


class Pool:
    """The newest pairs of one shape, from which samples are drawn."""

    def __init__(self, source: Iterator[Pair], size: Size, samples: int) -> None:
        self.source, self.size, self.samples = source, size, samples
        self.pairs: list[Pair] = []
        self.owed = 0.0

    def batch(self, new_pairs: float, generator: torch.Generator) -> "Sample":
        """Samples of random pairs, after `new_pairs` (on average) were drawn anew."""
        self.owed += new_pairs
        while self.owed >= 1 or len(self.pairs) < FEWEST:
            self.pairs = [*self.pairs[-POOL + 1 :], next(self.source)]
            self.owed -= 1
        chosen = torch.randint(len(self.pairs), (self.samples,), generator=generator)
        return collate([augment(self.pairs[i], self.size) for i in chosen.tolist()])


class Sample(NamedTuple):
    """One pair at training size, or several stacked. Two frames in the order in which time passed."""

    images: Float[Tensor, "*B 2 3 h w"]
    depth: Float[Tensor, "*B h w"]
    """Of the frame that `second` names, in the unit of the model's camera, NaN in the sky."""
    second: Bool[Tensor, "*B"]
    reach: Float[Tensor, "*B"]
    second_from_first: Float[Tensor, "*B 4 4"]
    """In depth's unit."""


def collate(samples: list[Sample]) -> Sample:
    return Sample(*(torch.stack(parts) for parts in zip(*samples, strict=True)))


JITTER = v2.ColorJitter(0.5, 0.5, 0.7, 0.12)


class Box(NamedTuple):
    """What is cut out of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def augment(pair: Pair, size: Size) -> Sample:
    """Crop, zoom and mirror with the camera; colour, gamma, blur, noise and JPEG on the images alone."""
    height, width = pair.images.shape[-2:]
    zoom = chance(1.0, 1.6) if torch.rand(()) < 0.7 else 1.0
    narrow = chance(0.8, 1.0) if torch.rand(()) < 0.7 else 1.0
    h = min(height, width * size[0] / size[1]) / zoom
    w = h * size[1] / size[0] * narrow
    box = Box(round(chance(0, height - h)), round(chance(0, width - w)), round(h), round(w))
    if torch.rand(()) < 0.05:  # a camera that stands
        images, depth = pair.images[:1].repeat(2, 1, 1, 1), pair.depth[:1].repeat(2, 1, 1)
        pair = Pair(images, depth, pair.focal, torch.eye(4))
    sample = cut_out(pair, size, box, bool(torch.rand(()) < 0.5), bool(torch.rand(()) < 0.5))
    return sample._replace(images=photograph((sample.images * 255).byte()))


def cut_out(pair: Pair, size: Size, box: Box, mirrored: bool, second: bool) -> Sample:
    """A box of both frames at another size; depth of one of them and the motion, in the model's unit."""
    images = v2.functional.resized_crop(pair.images, *box, list(size), antialias=True)
    nearest = v2.InterpolationMode.NEAREST
    depth = v2.functional.resized_crop(pair.depth[int(second)][None], *box, list(size), nearest)[0]
    unit = FOCAL * box.width / pair.focal
    motion = pair.second_from_first.clone()
    motion[:3, 3] *= unit
    if mirrored:
        flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
        images, depth, motion = images.flip(-1), depth.flip(-1), flip @ motion @ flip
    flags = torch.tensor(second), torch.tensor(REACH * unit)
    return Sample(images.float() / 255, depth * unit, *flags, motion)


def photograph(images: UInt8[Tensor, "2 3 h w"]) -> Float[Tensor, "2 3 h w"]:
    """What cameras and codecs do to images, in [0, 1]."""
    x = JITTER(images)
    if torch.rand(()) < 0.4:
        x = v2.functional.gaussian_blur(x, [5, 5], [chance(0.3, 1.4)] * 2)
    x = x.float() / 255
    if torch.rand(()) < 0.5:
        x = x ** chance(0.6, 1.7)
    if torch.rand(()) < 0.3:  # white balance
        x = x * torch.tensor([chance(0.85, 1.15), 1.0, chance(0.85, 1.15)])[:, None, None]
    if torch.rand(()) < 0.1:
        x = x.mean(1, keepdim=True).expand_as(x)
    x = (x + torch.randn_like(x) * chance(0.0, 0.04)).clamp(0, 1)
    if torch.rand(()) < 0.4:
        x = v2.functional.jpeg((x * 255).byte(), int(chance(30, 90))).float() / 255
    return x


def chance(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def step_loss(model: MonoDepth, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
    """Depth of one frame of each pair, and the motion between the two."""
    place = torch.arange(len(batch.second))
    target = batch.images[place, batch.second.long()].contiguous(memory_format=torch.channels_last)
    loss, parts = supervised_objective(model.depth(target), batch.depth, batch.reach)
    axis_angle, translation = model.pose(batch.images[:, 0], batch.images[:, 1:], (1,))
    found = transform_from_pose(axis_angle[:, 0], translation[:, 0])
    turn = (found[:, :3, :3] - batch.second_from_first[:, :3, :3]).abs().mean()
    shift = (found[:, :3, 3] - batch.second_from_first[:, :3, 3]).abs().mean()
    # a pixel moves by focal length x rotation, and by focal length x translation / depth: about 10
    return loss + 10 * turn + shift, {**parts, "rotation": turn, "translation": shift}


@torch.no_grad()
def scores(model: MonoDepth, seed: int) -> dict[str, float]:
    """Abs Rel with median scaling on unseen streets of both kinds, quick."""
    found = {}
    model.eval()
    for variety, size in (("town", (96, 320)), ("wide", (160, 288))):
        settings = StreetSettings(TESTED, 2, *size, seed=seed, variety=variety)  # type: ignore[arg-type]
        reader, errors = SyntheticReader(settings, "test"), []
        for scene in range(settings.scenes):
            frame = reader.frame(scene, 0)
            depth = 1 / model.depth(frame.image[None].float() / 255)[0]
            truth = frame.depth
            assert truth is not None
            known = truth.isfinite() & (truth < REACH)
            depth = (depth * truth[known].median() / depth[known].median()).clamp(1e-3, REACH)
            errors.append(((depth - truth).abs() / truth)[known].mean())
        found[f"abs_rel_{variety}"] = round(float(torch.stack(errors).mean()), 4)
    model.train()
    return found


def make_model(s: Settings) -> MonoDepth:
    architecture = MonoArchitecture(
        encoder="tf_efficientnet_lite0", decoder="medium", padding="zeros", scales=1, pose_type="light",
        max_depth=200.0,
    )  # fmt: skip
    model = MonoDepth(architecture, s.encoder_weights if s.start_from is None else "none")
    torch.nn.init.constant_(model.depth.decoder.heads[0].bias, -4.5)  # about 10 m
    if s.start_from is not None:
        load_weights(model, s.start_from)
    return model.to(memory_format=torch.channels_last)


def make_optimiser(model: MonoDepth) -> torch.optim.Optimizer:
    encoder = list(model.depth.encoder.parameters())
    rest = [*model.depth.decoder.parameters(), *model.pose.parameters()]
    groups = [{"params": encoder, "speed": 0.2}, {"params": rest, "speed": 1.0}]
    return torch.optim.AdamW(groups, lr=1.5e-3, weight_decay=1e-2, fused=True)


def pools(s: Settings, shapes: tuple[Shape, ...], first: int) -> list[Pool]:
    """One pool a shape, each with its own processes' streets."""
    found = []
    for number, shape in enumerate(shapes):
        streets = Streets(shape.drawn, s.variety or shape.variety, s.seed, first + 10**8 * number)
        loader = DataLoader(streets, batch_size=None, num_workers=s.workers, prefetch_factor=4)
        found.append(Pool(iter(loader), shape.size, shape.samples))
    return found


def train(s: Settings) -> None:
    torch.manual_seed(s.seed)
    generator = torch.Generator().manual_seed(s.seed)
    model = make_model(s).train()
    optimiser = make_optimiser(model)
    s.out.mkdir(parents=True, exist_ok=True)
    large_from = round(LARGE_FROM * s.steps) if s.large and s.start_from is None else s.steps
    ready = pools(s, SMALL, 0) if s.start_from is None else pools(s, MEDIUM, 15 * 10**8)
    began = time.monotonic()
    with open(s.out / "log.jsonl", "w") as log:
        for step in range(s.steps):
            if step == large_from:
                ready = pools(s, LARGE, 10**9)
            for group in optimiser.param_groups:
                group["lr"] = group["speed"] * learning_rate(step, s.steps, 1.5e-3, "cosine", 0.02)
            batch = ready[step % len(ready)].batch(s.new_pairs, generator)
            loss, parts = step_loss(model, batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            done = step + 1
            if done % 25 == 0 or done == s.steps:
                values = {name: round(v.item(), 4) for name, v in parts.items()}
                seconds = round(time.monotonic() - began)
                event = {"step": done, "seconds": seconds, "loss": round(loss.item(), 4), **values}
                if done % s.report_every == 0 or done == s.steps:
                    event |= scores(model, s.seed)
                    save(model, s, done)
                print(json.dumps(event), file=log, flush=True)
                print(event, flush=True)


def save(model: MonoDepth, s: Settings, steps: int) -> None:
    before = "" if s.start_from is None else f"{read_card(s.start_from).trained_on}; then "
    card = ModelCard(
        model.architecture,
        *SIZES[0],
        sizes=SIZES,
        trained_on=f"{before}the embedded street's exact depth, {steps} steps, seed {s.seed}",
    )
    save_model(s.out, model, card, half=True)


if __name__ == "__main__":
    train(tyro.cli(Settings))
