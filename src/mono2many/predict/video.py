"""Depth of a video's frames, one after the other."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.geometry.camera import mirror_intrinsics
from mono2many.metrics.flicker import Steadiness
from mono2many.models.many import ManyDepth
from mono2many.predict.confidence import Cues, log_cue, log_depth_std
from mono2many.predict.depth_map import DepthMap
from mono2many.predict.exported import Exported, ExportedStream
from mono2many.predict.inputs import IntrinsicsOf
from mono2many.predict.predictor import Image, Predictor, as_image
from mono2many.predict.steady import SteadyState
from mono2many.predict.stream import StreamState
from mono2many.types import InputError


class Stream:
    """`stream(frame)` is the depth of a video's next frame; frames are as a Predictor's images, all of one
    size: else InputError. A cut is noticed; for another video make another stream."""

    def __init__(
        self,
        predictor: Predictor,
        intrinsics: Float[Tensor, "3 3"] | None,
        flip: bool = False,
        steady: bool = False,
        std: bool = False,
    ) -> None:
        self.predictor, self.intrinsics = predictor, intrinsics
        self.flip, self.steady, self.std = flip, steady, std
        self.size: tuple[int, int] | None = None
        self.states: list[StreamState | ExportedStream] = []
        self.cues: Cues | None = None
        """Of the latest frame, at the model's size."""
        self.follower: SteadyState | None = None
        """Its `before` and `after` say how steady the video's depth is."""

    def __call__(self, image: Image) -> DepthMap:
        """Depth of the next frame: anything that `as_image` takes."""
        return self.predict(as_image(image))

    def predict(self, image: UInt8[Tensor, "3 H W"], full_size: bool = True) -> DepthMap:
        """The same; full_size: as in Predictor.as_depth_maps."""
        found, std = self._predict(image)
        return self.predictor.as_depth_maps(found, [image], std, [self.intrinsics], full_size)[0]

    def disparity(self, image: UInt8[Tensor, "3 H W"]) -> Float[Tensor, "H W"]:
        """1 / depth of the next frame, on the CPU, at its own size, in the unit that `card.scale` names."""
        return self(image).disparity

    def at_model_size(self, image: UInt8[Tensor, "3 H W"]) -> Float[Tensor, "1 h w"]:
        """The same at the model's size and on its device."""
        return self._predict(image)[0]

    def _predict(
        self, image: UInt8[Tensor, "3 H W"]
    ) -> tuple[Float[Tensor, "1 h w"], Float[Tensor, "1 h w"] | None]:
        """Disparity and standard deviation of log depth."""
        predictor, size = self.predictor, (image.shape[1], image.shape[2])
        if self.size is not None and self.size != size:
            first = f"the video's first was {self.size[1]}x{self.size[0]}"
            raise InputError(f"a frame is {size[1]}x{size[0]}, {first}: predict these separately")
        inputs = predictor.inputs([image])
        if self.size is None and self.intrinsics is not None:
            self._begin(predictor.camera(self.intrinsics, size), inputs.shape[-1])
        self.size = size
        if not predictor.matches:
            found, cues = predictor.predict_inputs(inputs, self.flip, self.std)
        else:
            found, cues = predictor.plain_and_mirrored(self.states, inputs, self.flip, self.std)
        if self.follower is not None:
            found, earlier = self.follower(inputs, found)
            if cues is not None and earlier is not None:
                cues = cues._replace(motion=log_cue(earlier.log_ratio), motion_seen=earlier.seen)
        self.cues = cues
        return found, None if cues is None else log_depth_std(cues)

    def _begin(self, k: Float[Tensor, "3 3"], width: int) -> None:
        predictor = self.predictor
        if predictor.matches:
            cameras = [k, mirror_intrinsics(k, width)][: 1 + (self.flip or self.std)]
            self.states = [_stream_state(predictor, camera) for camera in cameras]
        if self.steady or self.std:
            model = predictor.model.as_mono() if isinstance(predictor.model, ManyDepth) else predictor.model
            self.follower = SteadyState(model, k, predictor.unit, self.steady)


def _stream_state(predictor: Predictor, camera: Float[Tensor, "3 3"]) -> StreamState | ExportedStream:
    if isinstance(predictor.model, Exported):
        return predictor.model.stream(camera)
    assert isinstance(predictor.model, ManyDepth)
    return StreamState(predictor.model, camera)


class Options(NamedTuple):
    """How the frames of an input are predicted."""

    flip: bool = False
    batch_size: int = 4
    steady: bool = False
    std: bool = False
    full_size: bool = True
    """At the images' size, not the model's."""


def predict_frames(
    predictor: Predictor,
    frames: Iterator[UInt8[Tensor, "3 _ _"]],
    options: Options,
    intrinsics_of: IntrinsicsOf | None,
    video: str | None,
) -> Iterator[tuple[Tensor, DepthMap]]:
    """Each frame with its prediction. video: its name; None: the frames do not follow each other."""
    flip, batch_size, steady, std, full_size = options
    follows = predictor.matches or steady or (std and intrinsics_of is not None)
    if not follows or video is None:
        while batch := list(islice(frames, batch_size)):
            known = intrinsics_of if full_size else None
            cameras = [] if known is None else [known(*_size(image)) for image in batch]
            found = predictor.depth_maps(batch, flip, std, full_size=full_size, intrinsics=cameras)
            yield from zip(batch, found, strict=True)
        return
    stream = None
    for image in frames:
        if stream is None:
            k = None if intrinsics_of is None else intrinsics_of(*_size(image))
            stream = predictor.stream(k, flip, steady, std)
        yield image, stream.predict(image, full_size)
    if steady and stream is not None and stream.follower is not None:
        print(f"{video}: {compare(stream.follower.before.read(), stream.follower.after.read())}")


def _size(image: UInt8[Tensor, "3 H W"]) -> tuple[int, int]:
    return image.shape[1], image.shape[2]


def compare(before: Steadiness, after: Steadiness) -> str:
    """The line of --steady."""
    if math.isnan(after.flicker):
        return "no two frames of one scene: nothing to hold steady"
    return (
        f"flicker {100 * before.flicker:.2f} % of depth, steady {100 * after.flicker:.2f} %; "
        f"scale drift {100 * before.drift:.2f} %, steady {100 * after.drift:.2f} %"
    )
