"""What is scored: the frames of a list that are there, and disparities of them. KITTI's lists; DDAD's are in
ddad_lists, Cityscapes' in cityscapes_lists."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.commands import EvaluateConfig
from mono2many.data.marker import MARKER
from mono2many.data.reader import DATASET
from mono2many.datasets.kitti.files import image_path, read_calibration
from mono2many.datasets.kitti.reader import reference_intrinsics, wrong_size
from mono2many.datasets.kitti.splits import (
    OWN_LISTS,
    TEST_SPLITS,
    KittiFrame,
    read_split_file,
    seen_frames,
    split_frames,
)
from mono2many.evaluate.depth import MODEL
from mono2many.evaluate.many import Views, look, views
from mono2many.evaluate.truth import TruthSource, kitti_truth, truth_path
from mono2many.geometry.camera import Size
from mono2many.io.images import read_image
from mono2many.metrics.protocol import Protocol
from mono2many.models.checkpoint import input_size
from mono2many.models.many import ManyDepth
from mono2many.predict.predictor import Predictor
from mono2many.types import InputError

Disparities = Callable[[Sequence[int]], Iterator[Mapping[str, Float[Tensor, "B h w"]]]]
"""From places in a list to disparities, some images at a time; the first row is the answer."""


PAPERS = {"kitti_eigen": "eigen-80m", "kitti_eigen_benchmark": "eigen-improved", "ddad": "ddad-200m"} | {
    "cityscapes": "cityscapes-80m"
}
"""The protocol of each list in the papers."""


@dataclass(frozen=True)
class Listed:
    """An image of a list, wherever it lies."""

    name: str
    clip: str
    number: int
    """In the clip."""
    key: Hashable
    """What a model's card knows it by."""
    image: Path
    camera: Callable[[], tuple[Size, Float[Tensor, "3 3"]]]
    """Height and width of the picture, and K in its pixels."""
    beside: Callable[[int], Path | None]
    """The picture so many frames later; None where there is none."""
    truth: Callable[[], TruthSource]
    group: str = ""
    """Scored apart as well, where a list has several."""
    open: Callable[[Path], UInt8[Tensor, "3 _ _"]] = read_image
    """How its pictures are read."""


@dataclass(frozen=True)
class Listing:
    """A list of frames, and which of them can be scored."""

    name: str
    frames: Sequence[Listed]
    places: list[int]
    """In `frames`: those whose files are there."""
    synthetic: bool
    note: str
    """What has to be said of them, if anything."""
    seen: Callable[[Sequence[str]], AbstractSet[Hashable]]
    """The keys of what a model's card says it was trained on."""
    complete: bool
    """The papers' images, all of them."""


def look_up(config: EvaluateConfig, protocol: Protocol) -> Listing:
    """The list, checked against the files."""
    name: str = config.data.datatype
    root = Path(config.data.data[0] if config.data.data else DATASET)
    if name == OWN_LISTS:
        name = config.data.split_files[0]
        frames = read_split_file(name)
    elif name in TEST_SPLITS:
        frames = split_frames(name, "test")
    else:
        raise InputError(f"--datatype {name} is a list to train on; score on {' or '.join(TEST_SPLITS)}")
    places = [
        place
        for place, frame in enumerate(frames)
        if truth_path(root, frame, protocol.truth) is not None
        and (config.predictions is not None or image_path(root, frame).exists())
    ]
    synthetic = (root / MARKER).exists()
    calibration = lru_cache(lambda date: read_calibration(root, date))
    reference = config.data.intrinsics == "reference"

    def listed(frame: KittiFrame) -> Listed:
        def camera() -> tuple[Size, Tensor]:
            size = calibration(frame.date).sizes[frame.eye]
            k = calibration(frame.date).intrinsics(frame.eye)
            return size, reference_intrinsics(size) if reference else k

        def beside(offset: int) -> Path | None:
            path = image_path(root, replace(frame, number=max(0, frame.number + offset)))
            return path if frame.number + offset >= 0 and path.exists() else None

        def truth() -> TruthSource:
            return kitti_truth(root, frame, protocol.truth, calibration(frame.date))

        image = image_path(root, frame)
        return Listed(str(frame), frame.drive, frame.number, frame, image, camera, beside, truth)

    images = [listed(frame) for frame in frames]
    if len(places) == len(frames):
        return Listing(name, images, places, synthetic, "", seen_frames, name in PAPERS and not synthetic)
    here = set(places)
    lost = [frame for place, frame in enumerate(frames) if place not in here]
    what = "improved depth (data_depth_annotated)" if protocol.truth == "improved" else "laser scan"
    drives, every = sorted({frame.drive for frame in lost}), len({frame.drive for frame in frames})
    if not places or not (synthetic or config.data.allow_missing):
        flag = "--splits" if name in TEST_SPLITS else "--split-files"
        raise InputError(
            f"{root}: the image or {what} of {len(lost)} of {len(frames)} frames of {name} is missing, in "
            f"{len(drives)} of {every} drives ({', '.join(drives[:5])}{' ...' if len(drives) > 5 else ''}); "
            f"fetch them: mono2many prepare kitti {flag} {name} --data {root}"
            + (", or score what is there with --allow-missing" if places else "")
        )
    note = f"{len(places)} of {len(frames)} frames of {name} are there with their {what}; only these count"
    return Listing(name, images, places, synthetic, note, seen_frames, False)


def from_model(config: EvaluateConfig, predictor: Predictor, listing: Listing) -> Disparities:
    """Predicted in batches, the next of which is read meanwhile."""
    card, many = predictor.card, predictor.model
    inner = input_size(card, listing.frames[listing.places[0]].camera()[0])  # one for all of them
    size = (round(inner[0] / (1 - card.crop_bottom)), inner[1])

    def ready(place: int) -> Tensor | Views:
        frame = listing.frames[place]
        image, (wanted, k) = frame.open(frame.image), frame.camera()
        if tuple(image.shape[1:]) != wanted:
            raise InputError(wrong_size(frame.image, image, wanted))
        if not isinstance(many, ManyDepth):
            return predictor.inputs([image], inner)
        paths = [frame.beside(offset) for offset in many.architecture.matching]
        return views(predictor, image, [None if path is None else frame.open(path) for path in paths], k)

    def answer(batch: Sequence[Tensor | Views]) -> Mapping[str, Tensor]:
        seen = [one for one in batch if isinstance(one, Views)]
        if seen:
            return look(predictor, seen, config.flip)
        inputs = torch.cat([one for one in batch if isinstance(one, Tensor)])
        return {MODEL: predictor.from_inputs(inputs, config.flip)}

    def predict(places: Sequence[int]) -> Iterator[Mapping[str, Tensor]]:
        waiting: list[Future[Tensor | Views]] = []
        with ThreadPoolExecutor(max(1, config.workers)) as pool:
            for start in range(0, len(places) + config.batch_size, config.batch_size):
                batch, waiting = waiting, [pool.submit(ready, p) for p in places[start:][: config.batch_size]]
                if batch:
                    found = answer([image.result() for image in batch])
                    yield {row: predictor.at_size(x, size).cpu() for row, x in found.items()}

    return predict


def without_neighbour(listing: Listing, offsets: Sequence[int]) -> int:
    """How many of the frames that are scored have none at these offsets."""
    scored = [listing.frames[place] for place in listing.places]
    return sum(not any(frame.beside(offset) for offset in offsets) for frame in scored)


def from_file(config: EvaluateConfig, listing: Listing) -> Disparities:
    """Out of a NumPy file with a map for each frame of the list."""
    path = config.predictions
    try:
        stored = np.load(str(path), mmap_mode="r", allow_pickle=False)
        shape = stored.shape
    except (OSError, ValueError, EOFError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or "not a file of numpy.save"
        raise InputError(
            f"--predictions {path}: cannot be read as one NumPy array ({reason}); wanted N H W floats"
        ) from error
    if len(shape) != 3 or not all(shape) or stored.dtype.kind != "f":
        raise InputError(
            f"--predictions {path}: holds {stored.dtype} of shape {shape}, wanted floats N H W: disparities"
        )
    if len(stored) != len(listing.frames):
        others = [n for n in TEST_SPLITS if n != listing.name and len(split_frames(n, "test")) == len(stored)]
        hint = (
            f"--datatype {others[0]} has as many"
            if others
            else "predict every frame of the list, in its order (maps of missing images are not read)"
        )
        raise InputError(
            f"--predictions {path}: holds {len(stored)} maps, wanted {len(listing.frames)} for "
            f"{listing.name}; {hint}"
        )

    def predict(places: Sequence[int]) -> Iterator[Mapping[str, Tensor]]:
        for start in range(0, len(places), config.batch_size):
            part = places[start:][: config.batch_size]
            disparity = torch.from_numpy(stored[part].astype(np.float32))
            for place, known in zip(part, disparity.isfinite().flatten(1).all(1).tolist(), strict=True):
                if not known:
                    raise InputError(
                        f"--predictions {path}: image {place} of the list ({listing.frames[place].name}) "
                        "holds values that are not numbers; wanted a disparity at every pixel"
                    )
            yield {"predictions": disparity}

    return predict
