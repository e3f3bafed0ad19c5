"""What the starter model learns from: samples of the procedural street, cropped and photographed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info
from torchvision.transforms import v2

from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Frame

FOCAL = 0.58
"""Focal length, as a share of the width, of the camera in whose unit depth is predicted."""
REACH = 120.0
"""Metres beyond which depth must only be far."""
POOL = 300
"""Pairs kept of each shape; every step draws from them and replaces the oldest."""
FEWEST = 6
"""Pairs of each shape before the first step."""
Size = tuple[int, int]


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
        self.owed = float(FEWEST)

    def batch(self, new_pairs: float, generator: torch.Generator) -> "Sample":
        """Samples of random pairs, after `new_pairs` (on average) were drawn anew."""
        self.owed += new_pairs
        while self.owed >= 1:
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
    return sample._replace(images=photograph((sample.images * 255).round().byte()))


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
