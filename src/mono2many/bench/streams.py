"""How long one more frame of a video takes a ManyDepth, in parts."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from mono2many.bench.yardstick import Step
from mono2many.commands.bench import BenchConfig
from mono2many.geometry.align import refine_motions
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.chain import chained_motion
from mono2many.models.many import ManyDepth
from mono2many.models.pose import PoseNet, RelativePose
from mono2many.models.student import StudentNet
from mono2many.predict.stream import StreamState
from mono2many.street.reader import StreetSettings, SyntheticReader


class _Known(PoseNet):
    """A pose that is given, by odometry for example."""

    def __init__(self, motion: RelativePose) -> None:
        torch.nn.Module.__init__(self)
        self.pose_type: Literal["light"] = "light"
        self.motion = motion

    def forward(self, target: Tensor, sources: Tensor, offsets: Sequence[int]) -> RelativePose:
        return self.motion


def stream_steps(config: BenchConfig, device: torch.device) -> Mapping[str, Step]:
    """The depth network alone, then what a stream adds. Two frames of a street take turns."""
    street = SyntheticReader(StreetSettings(1, 2, config.height, config.width), "train")
    k = street.frame(0, 0).intrinsics.to(device)
    frames = torch.stack([street.frame(0, i).image for i in range(2)]).to(device) / 255
    frames = frames.contiguous(memory_format=torch.channels_last)
    before, now = frames.split(1)
    networks = (ManyDepth(ManyArchitecture()).eval().to(device) for _ in range(2))
    many, told = (network.to(memory_format=torch.channels_last) for network in networks)
    light = ManyArchitecture("light", "light", pose_type="light", match_by="pixels")
    pixels = StudentNet(light).eval().to(device)
    with torch.inference_mode():
        told.pose = _Known(told.pose(before, now[:, None], (1,)))
        motion = chained_motion(many.pose, now, before[:, None], (-1,))
        features = [many.depth.features(image) for image in (before, now)]
        patches = [pixels.features(image) for image in (before, now)]
        disparity = many.teacher(now)
    exists = torch.ones(1, 1, dtype=torch.bool, device=device)
    streams = {"stream without pose": StreamState(told, k), "stream with pose": StreamState(many, k)}

    @torch.inference_mode()
    def alone(repetition: int) -> None:
        many.teacher(now)

    @torch.inference_mode()
    def volume(repetition: int) -> None:
        many.depth.sweep(features[1], features[0].matching_features.unsqueeze(1), motion, exists, k[None])

    @torch.inference_mode()
    def volume_of_pixels(repetition: int) -> None:
        pixels.matching_features(now)
        pixels.sweep(patches[1], patches[0].matching_features.unsqueeze(1), motion, exists, k[None])

    @torch.inference_mode()
    def refined(repetition: int) -> None:
        refine_motions(motion, now, before[:, None], disparity, k[None])

    def stream(name: str) -> Step:
        streams[name](before)
        return lambda repetition: streams[name](frames[1 - repetition % 2][None])

    parts = {"volume": volume, "volume of pixels": volume_of_pixels, "motion refined": refined}
    return {"depth network": alone, **parts, **{name: stream(name) for name in streams}}
