"""The ways of loading that `mono2many bench` compares: ours, and the usual one of this field."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import ColorJitter
from torchvision.transforms.functional import to_tensor

from mono2many.data.augment import Augmentation, to_batch
from mono2many.data.cache import cached
from mono2many.data.dataset import ClipDataset
from mono2many.data.rng import uniform
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.reader import VideoReader
from mono2many.io.images import write_image
from mono2many.street.reader import StreetSettings, SyntheticReader

SAMPLES = 6
"""What one repetition loads: frames with both neighbours, mirrored and jittered by chance."""
JITTER = ColorJitter(0.2, 0.2, 0.2, 0.1)

Load = Callable[[int], object]
"""One repetition; its number decides the draws, the same ones for every way of loading."""


def ways_of_loading(folder: Path, size: tuple[int, int], batch_size: int) -> Mapping[str, Load]:
    """SAMPLES samples, the plain way first. Draws the procedural street at KITTI's size into `folder`:
    images/*.jpg, and a cache."""
    street = SyntheticReader(StreetSettings(1, SAMPLES + 2, 375, 1242), "test")
    files = [folder / "images" / f"{i:03d}.jpg" for i in range(SAMPLES + 2)]
    for i, path in enumerate(files):
        write_image(path, street.frame(0, i).image)
    reader = VideoReader(VideoData((str(folder / "images"),), (), 80.0, 0.0), ReadOptions(*size), "train")

    def plain(step: int) -> None:
        for i in range(SAMPLES):
            load_plainly(files[i : i + 3], size, i + 1, step)

    def ours(dataset: ClipDataset, step: int) -> None:
        for start in range(1, SAMPLES + 1, batch_size):
            raw = dataset.batch(range(start, min(start + batch_size, SAMPLES + 1)))
            to_batch(raw, (-1, 1), "cpu", Augmentation(), 0, step)

    return {
        "load by Pillow": plain,
        "load from cache": partial(ours, ClipDataset(cached(reader, folder / "cache"), (-1, 1))),
        "load from JPEG": partial(ours, ClipDataset(reader, (-1, 1))),
    }


def load_plainly(
    files: Sequence[Path], size: tuple[int, int], index: int, step: int
) -> Float[Tensor, "F 3 H W"]:
    """One sample by Pillow and torchvision: plain frames, then jittered ones. Lanczos; mirroring and jitter
    fall on the samples that data.augment chooses with seed 0."""
    mirrored, jittered = (uniform(0, step, torch.tensor([index]), 2)[0] < 0.5).tolist()
    plain = [Image.open(f).convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS) for f in files]
    plain = [ImageOps.mirror(image) for image in plain] if mirrored else plain
    changed = [JITTER(image) for image in plain] if jittered else plain
    return torch.stack([to_tensor(image) for image in (*plain, *changed)])
