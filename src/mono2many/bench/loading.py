"""The ways of loading that `mono2many bench` compares: ours, and the usual one of this field."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as transforms

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.cache import cached
from mono2many.data.dataset import ClipDataset
from mono2many.data.rng import uniform
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.reader import VideoReader
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.street.reader import StreetSettings, SyntheticReader

SAMPLES = 6
"""What one repetition loads: frames with both neighbours, mirrored and jittered by chance."""
FRAMES = SAMPLES + 2

Load = Callable[[int], object]
"""One repetition; its number decides the draws, the same ones for every way of loading."""


def ways_of_loading(folder: Path, size: tuple[int, int], batch_size: int) -> tuple[Mapping[str, Load], Load]:
    """(by name: SAMPLES samples, the plain way first; a video's FRAMES frames decoded and resized).

    Draws the embedded street at KITTI's size into `folder`: images/*.jpg, video.mp4, and a cache."""
    files = write_footage(folder)

    def opened(path: Path) -> VideoReader:
        return VideoReader(VideoData((str(path),), (), 80.0, 0.0), ReadOptions(*size), "train")

    originals = opened(folder / "images")
    jpeg = ClipDataset(originals, (-1, 1))
    cache = ClipDataset(cached(originals, folder / "cache"), (-1, 1))
    ways: dict[str, Load] = {
        "load by Pillow": lambda step: [
            load_plainly(files[i : i + 3], size, i + 1, step) for i in range(SAMPLES)
        ],
        "load from cache": lambda step: load(cache, batch_size, step),
        "load from JPEG": lambda step: load(jpeg, batch_size, step),
    }
    return ways, lambda step: opened(folder / "video.mp4").load()


def load(dataset: ClipDataset, batch_size: int, step: int) -> None:
    """SAMPLES samples from the second frame on, as batches on the CPU."""
    for start in range(1, SAMPLES + 1, batch_size):
        raw = dataset.batch(range(start, min(start + batch_size, SAMPLES + 1)))
        to_batch(raw, (-1, 1), "cpu", Augmentation(), 0, step)


def load_plainly(
    files: Sequence[Path], size: tuple[int, int], index: int, step: int
) -> Float[Tensor, "F 3 H W"]:
    """One sample by Pillow and torchvision: plain frames, then jittered ones. Lanczos; mirroring and jitter
    fall on the samples that data.augment chooses with seed 0."""
    mirrored, jittered = (uniform(0, step, torch.tensor([index]), 2)[0] < 0.5).tolist()
    plain = [Image.open(f).convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS) for f in files]
    plain = [ImageOps.mirror(image) for image in plain] if mirrored else plain
    changed = plain
    if jittered:
        span = (0.8, 1.2)
        order, *amounts = ColorJitter.get_params(span, span, span, (-0.1, 0.1))
        names = ("brightness", "contrast", "saturation", "hue")
        for kind in order.tolist():
            change = getattr(transforms, f"adjust_{names[kind]}")
            changed = [change(image, amounts[kind]) for image in changed]
    return torch.stack([transforms.to_tensor(image) for image in (*plain, *changed)])


def write_footage(folder: Path) -> list[Path]:
    """FRAMES frames of the street as images/*.jpg and as video.mp4; returns the images."""
    street = SyntheticReader(StreetSettings(1, FRAMES, 375, 1242), "test")
    files = [folder / "images" / f"{i:03d}.jpg" for i in range(FRAMES)]
    with VideoWriter(folder / "video.mp4", 10.0) as video:
        for i, path in enumerate(files):
            image = street.frame(0, i).image
            write_image(path, image)
            video.write(image)
    return files
