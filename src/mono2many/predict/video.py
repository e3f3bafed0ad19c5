"""Depth of a video's frames, one after the other."""

from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.geometry.camera import mirror_intrinsics
from mono2many.models.many import ManyDepth
from mono2many.predict.confidence import Cues, log_cue, log_depth_std
from mono2many.predict.depth_map import DepthMap
from mono2many.predict.exported import Exported, ExportedStream
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
        frame = as_image(image)
        found, std = self._predict(frame)
        return self.predictor.depth_map(found, std, frame.shape[1:])

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
            found, cues = predictor.both_ways(self.states, inputs, self.flip, self.std)
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
