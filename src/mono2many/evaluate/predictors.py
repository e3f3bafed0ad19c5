"""Disparities of frames: by networks, out of a file of any method's, by baselines that ignore the image.

predict = from_network(load("runs/1"))
for maps in predict(eval_set.frames):                some frames at a time
    maps[Method.MODEL]                               B h w, at any size
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from mono2many.evaluate.frames import EvalFrame, EvalSet
from mono2many.files import UNREADABLE, explained
from mono2many.geometry.camera import Size, mirror_intrinsics, resize_intrinsics
from mono2many.metrics.protocol import Protocol
from mono2many.models.architecture import matching_of
from mono2many.models.checkpoint import input_size
from mono2many.models.mono import MonoDepth
from mono2many.predict.exported import Exported
from mono2many.predict.predictor import Predictor, blend_mirrored
from mono2many.types import Frame, InputError


class Method(StrEnum):
    """What a disparity comes from, as tables print it."""

    MODEL = "model"
    SINGLE_FRAME = "single frame"
    """A ManyDepth without its neighbours."""
    STATIC_CAMERA = "static camera"
    """A ManyDepth that matches the frame with itself, as if the camera did not move."""
    TEACHER = "teacher"
    """A ManyDepth's MonoDepth."""
    FILE = "predictions"
    MEAN_LOG_DEPTH = "per-pixel mean log depth"
    CONSTANT = "constant"


BASELINES = (Method.MEAN_LOG_DEPTH, Method.CONSTANT)

Disparities = Callable[[Sequence[EvalFrame]], Iterator[Mapping[Method, Float[Tensor, "B h w"]]]]
"""From frames to disparities of any size, in 1 / metres or up to scale, some frames at a time, in order. The
first method is the one in question."""


class NetworkInputs(NamedTuple):
    """A frame and those that a ManyDepth matches it with, as the networks want them."""

    images: Float[Tensor, "1+M 3 h w"]
    """The frame first; black where there is none."""
    exists: Bool[Tensor, "1 M"]
    intrinsics: Float[Tensor, "1 3 3"]


def network_inputs(
    predictor: Predictor, frame: Frame, matching: Sequence[Frame | None], size: Size
) -> NetworkInputs:
    """Of frames of one size, without the ego vehicle; None where there is none. size: of the networks."""
    black = torch.zeros_like(frame.image)
    images = [frame.image, *(black if other is None else other.image for other in matching)]
    exists = torch.tensor([[other is not None for other in matching]], dtype=torch.bool)
    _, height, width = frame.image.shape
    k, device = resize_intrinsics(frame.intrinsics, (height, width), size)[None], predictor.device
    return NetworkInputs(predictor.inputs(images, size), exists.to(device), k.to(device))


@torch.inference_mode()
def network_disparities(
    predictor: Predictor, frames: Sequence[NetworkInputs], flip: bool
) -> dict[Method, Float[Tensor, "B h w"]]:
    """At the networks' size and on their device, in the unit that `card.scale` names: one method of a
    MonoDepth, four of a ManyDepth. flip: as in Predictor.disparity."""
    many = predictor.model
    image = torch.cat([frame.images[:1] for frame in frames])
    if not predictor.matches:
        return {Method.MODEL: predictor.from_inputs(image, flip)}
    assert not isinstance(many, MonoDepth)
    matching = torch.stack([frame.images[1:] for frame in frames])
    exists, k = (torch.cat(parts) for parts in zip(*(frame[1:] for frame in frames), strict=True))

    def each(image: Tensor, matching: Tensor, k: Tensor) -> dict[Method, Tensor]:
        if isinstance(many, Exported):
            matched = many.disparity(image, matching, exists, k)
            return {Method.MODEL: matched, Method.SINGLE_FRAME: many.single(image)}
        itself = image[:, None].expand_as(matching)
        motion = many.motion(image, matching, k)
        return {
            Method.MODEL: many.disparity(image, matching, exists, k, None, motion),
            Method.SINGLE_FRAME: many.single(image),
            Method.STATIC_CAMERA: many.disparity(image, matching, exists, k, itself, motion),
            Method.TEACHER: many.teacher(image),
        }

    found = each(image, matching, k)
    if flip:
        mirrored = each(image.flip(-1), matching.flip(-1), mirror_intrinsics(k, image.shape[-1]))
        found = {method: blend_mirrored(x, mirrored[method].flip(-1)) for method, x in found.items()}
    return {method: x / predictor.unit for method, x in found.items()}


def from_network(
    predictor: Predictor, flip: bool = False, batch_size: int = 8, workers: int = 2
) -> Disparities:
    """As in network_disparities, of all frames at the size that fits the first. `workers` threads read the
    next batch meanwhile. What training cut off below is not cut off again: frames come without it."""
    card = replace(predictor.card, crop_bottom=0.0)
    predictor, offsets = Predictor(predictor.model, card, predictor.device), matching_of(card.architecture)

    def read(frame: EvalFrame, size: Size) -> NetworkInputs:
        return network_inputs(predictor, frame.open(), [frame.open_at(offset) for offset in offsets], size)

    def predict(frames: Sequence[EvalFrame]) -> Iterator[Mapping[Method, Tensor]]:
        if not frames:
            return
        size = input_size(card, frames[0].open().image.shape[-2:])
        waiting: list[Future[NetworkInputs]] = []
        with ThreadPoolExecutor(max(1, workers)) as pool:
            for start in range(0, len(frames) + batch_size, batch_size):
                part = frames[start : start + batch_size]
                batch, waiting = waiting, [pool.submit(read, frame, size) for frame in part]
                if batch:
                    found = network_disparities(predictor, [inputs.result() for inputs in batch], flip)
                    yield {method: disparity.cpu() for method, disparity in found.items()}

    return predict


def from_file(path: str, eval_set: EvalSet, batch_size: int) -> Disparities:
    """Out of a NumPy file with a map for each frame of the list. Raises InputError where it does not fit."""
    stored = _open_array(path, eval_set)

    def predict(frames: Sequence[EvalFrame]) -> Iterator[Mapping[Method, Tensor]]:
        for start in range(0, len(frames), batch_size):
            part = frames[start : start + batch_size]
            disparity = torch.from_numpy(stored[[f.position for f in part]].astype(np.float32))
            for frame, known in zip(part, disparity.isfinite().flatten(1).all(1).tolist(), strict=True):
                if not known:
                    raise InputError(
                        f"--predictions {path}: image {frame.position} of the list ({frame.name}) holds "
                        "values that are not numbers; wanted a disparity at every pixel"
                    )
            yield {Method.FILE: disparity}

    return predict


def _open_array(path: str, eval_set: EvalSet) -> np.ndarray:
    with explained(
        f"--predictions {path}: cannot be read as one NumPy array",
        "wanted a file of numpy.save, N H W floats",
        UNREADABLE,
    ):
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        shape = stored.shape
    if len(shape) != 3 or not all(shape) or stored.dtype.kind != "f":
        raise InputError(
            f"--predictions {path}: holds {stored.dtype} of shape {shape}, wanted floats N H W: disparities"
        )
    if len(stored) != eval_set.listed:
        raise InputError(
            f"--predictions {path}: holds {len(stored)} maps, wanted {eval_set.listed} for {eval_set.name}: "
            "of every frame of the list, in its order (maps of missing images are not read)"
        )
    return stored


def baselines(training: Iterable[Frame], protocol: Protocol) -> dict[Method, Float[Tensor, "H W"]]:
    """What can be predicted without looking at the image: the training depths' mean per pixel, and one
    constant, their geometric mean; under median alignment every constant is the same.

    A model that is no better than these has learnt nothing from its input. Errors as in mean_log_depth.
    """
    depth = mean_log_depth(training, protocol)
    constant = depth.log().mean().exp().expand_as(depth)
    return {Method.MEAN_LOG_DEPTH: 1 / depth, Method.CONSTANT: 1 / constant}


def with_baselines(predict: Disparities, maps: Mapping[Method, Float[Tensor, "H W"]]) -> Disparities:
    """Beside every frame's disparities these, the same for all."""

    def both(frames: Sequence[EvalFrame]) -> Iterator[Mapping[Method, Tensor]]:
        for found in predict(frames):
            count = len(next(iter(found.values())))
            yield {**found, **{method: x.expand(count, -1, -1) for method, x in maps.items()}}

    return both


def mean_log_depth(frames: Iterable[Frame], protocol: Protocol) -> Float[Tensor, "H W"]:
    """The mean depth of each pixel: exp of the mean of ln depth over frames, in metres.

    The size is that of the first frame that has a depth; others are brought to it (nearest pixel). Only
    depths that the protocol counts enter, crop aside. A pixel that never had one takes its row's mean, a
    row without any takes the nearest row's. Raises InputError if no frame has a depth.
    """
    total = count = None
    for frame in frames:
        if frame.depth is None:
            continue
        depth = frame.depth if total is None else _nearest(frame.depth, (total.shape[0], total.shape[1]))
        counts = protocol.in_range(depth)
        logs = torch.where(counts, depth, 1.0).log().double()
        total = logs if total is None else total + logs
        count = counts.double() if count is None else count + counts
    if total is None or count is None or not count.any():
        raise InputError(
            "no training frame has a depth of which a baseline can be made; name data with depth, or "
            "evaluate without baselines"
        )
    per_row = total.sum(1) / count.sum(1)
    measured = count.sum(1).nonzero()[:, 0]
    rows = torch.arange(total.shape[0], device=total.device)
    nearest = measured[(rows[:, None] - measured).abs().argmin(1)]
    fill = per_row[nearest, None].expand_as(total)
    return torch.where(count > 0, total / count.clamp(min=1), fill).exp().float()


def _nearest(depth: Float[Tensor, "h w"], size: Size) -> Float[Tensor, "H W"]:
    return F.interpolate(depth[None, None], size, mode="nearest-exact")[0, 0]
