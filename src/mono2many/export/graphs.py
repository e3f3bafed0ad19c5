"""What is exported: modules from plain tensors to plain tensors, everything between image and depth inside.

Images are RGB in [0, 1], B 3 H W, at the model's size. Depth and translations are in metres where the model
knows them, else in the networks' unit. Names of arguments are the files' names of inputs.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from timm.layers import Conv2dSame
from torch import Tensor, nn

from mono2many.geometry.pose import transform_from_pose
from mono2many.models.chain import chain, nearer
from mono2many.models.checkpoint import ModelCard
from mono2many.models.many import ManyDepth
from mono2many.models.mono import DepthNet, DisparityNet, MonoDepth
from mono2many.models.pose import NoPose, RelativePose
from mono2many.models.student import Student
from mono2many.predict.exported import stream_inputs
from mono2many.predict.stream import refine_by_earlier
from mono2many.types import InputError

Net = TypeVar("Net", bound=nn.Module)


class DepthGraph(nn.Module):
    """Depth of one image. half: the network computes in float16."""

    def __init__(self, model: MonoDepth | ManyDepth, unit: float, half: bool = False) -> None:
        super().__init__()
        self.network = model.depth if isinstance(model, MonoDepth) else _Single(model)
        if half:
            self.network = halved(model)
        self.unit, self.half_precision = unit, half

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B H W"]]:
        disparity = self.network(image.half() if self.half_precision else image)
        return (self.unit / disparity.float(),)


def halved(model: MonoDepth | ManyDepth) -> DepthNet:
    """A copy of the depth network, all but its last convolutions in float16."""
    assert isinstance(model, MonoDepth), "a ManyDepth is exported in float32"
    net = copy.deepcopy(model.depth).half()
    net.decoder.heads.float()
    net.min_depth, net.max_depth = net.min_depth.float(), net.max_depth.float()
    return net


class _Single(nn.Module):
    def __init__(self, model: ManyDepth) -> None:
        super().__init__()
        self.student = model.depth

    def forward(self, image: Tensor) -> Tensor:
        student = self.student
        return student.disparity(student.sigmoids(student.features(image))[0].float())


class PoseGraph(nn.Module):
    """later_from_earlier of two frames: axis-angle (radians), translation (depth's unit), and the matrix."""

    def __init__(self, model: MonoDepth | ManyDepth, unit: float) -> None:
        super().__init__()
        self.unit, self.pose, self.cameras = unit, model.pose, model.cameras
        if isinstance(model.pose, NoPose) or model.pose.pose_input == "all":
            raise InputError(
                "--parts: this model has no pose network that looks at pairs of frames: export it without"
            )
        if model.cameras is not None and len(model.cameras.raw) > 1:
            raise InputError("--parts: this model learnt several cameras, on which its pose depends")
        # whose poses depend on the depth network
        depth = {"shared": model, "posecnn": model.teacher if isinstance(model, ManyDepth) else model.depth}
        self.depth = depth.get(model.pose.pose_type)

    def forward(
        self, earlier: Float[Tensor, "B 3 H W"], later: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 3"], Float[Tensor, "B 3"], Float[Tensor, "B 4 4"]]:
        if isinstance(self.depth, MonoDepth):
            pose = self.depth(earlier, later[:, None], (1,)).pose
        else:
            pose = self.pose(earlier, later[:, None], (1,))
        axis_angle, translation = pose.axis_angle[:, 0], pose.translation[:, 0]
        if isinstance(self.depth, DepthNet):
            translation = translation * self.depth(earlier).mean((1, 2))[:, None]
        if self.cameras is not None:  # see models.cameras.scale_pose_by_focal
            start, learnt = self.cameras.start[:1], nn.functional.softplus(self.cameras.raw[:1])
            ratio = (start[:, :1] / learnt[:, :1]).expand(-1, 2)
            sideways = torch.cat([ratio, torch.ones_like(ratio[:, :1])], 1)
            axis_angle, translation = axis_angle * sideways, translation * sideways
        translation = translation * self.unit
        return axis_angle, translation, transform_from_pose(axis_angle, translation)


class StreamGraph(nn.Module):
    """The next frame of a video: its depth, and what to give as previous_features at a later frame.

    The F frames are the architecture's `matching`, in its order. exists: 1 where that frame is there and the
    camera has moved since; moved: 1 where it has moved between that frame and the next nearer one.
    """

    def __init__(self, model: ManyDepth, unit: float) -> None:
        super().__init__()
        self.model, self.unit, self.architecture = model, unit, model.architecture

    def forward(
        self,
        image: Float[Tensor, "1 3 H W"],
        previous_images: Float[Tensor, "1 F 3 H W"],
        previous_features: Float[Tensor, "1 F C h w"],
        exists: Float[Tensor, "1 F"],
        intrinsics: Float[Tensor, "1 3 3"],
        moved: Float[Tensor, "1 F"] | None = None,
        previous_depth: Float[Tensor, "1 F H W"] | None = None,
    ) -> tuple[Float[Tensor, "1 H W"], Float[Tensor, "1 C h w"]]:
        offsets, model = self.architecture.matching, self.model
        frames = [image, *previous_images.unbind(1)]
        # frames ahead are never matched in a stream, and their place is given as they are: earlier, later
        pairs = [(frames[i + 1], frames[near]) for i, near in enumerate(nearer(offsets))]
        links = model.pose(torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])[:, None], (1,))
        axis_angle, translation = (part.transpose(0, 1) for part in links)
        switch = (exists if moved is None else moved).unsqueeze(2)
        scale = model.units(image)
        motion = chain(RelativePose(axis_angle * switch, translation * switch), offsets, scale)
        if previous_depth is not None:
            motion = torch.stack(
                [
                    refine_by_earlier(m, then, image, self.unit / depth, intrinsics)
                    for m, then, depth in zip(
                        motion.unbind(1), previous_images.unbind(1), previous_depth.unbind(1), strict=True
                    )
                ],
                1,
            )
        return _matched(model, self.unit, image, previous_features, motion, exists, intrinsics)


class MatchGraph(nn.Module):
    """StreamGraph where the motion is known (odometry, an inertial unit): previous_from_current, translations
    in depth's unit."""

    def __init__(self, model: ManyDepth, unit: float) -> None:
        super().__init__()
        self.model, self.unit = model, unit

    def forward(
        self,
        image: Float[Tensor, "1 3 H W"],
        previous_features: Float[Tensor, "1 F C h w"],
        motion: Float[Tensor, "1 F 4 4"],
        exists: Float[Tensor, "1 F"],
        intrinsics: Float[Tensor, "1 3 3"],
    ) -> tuple[Float[Tensor, "1 H W"], Float[Tensor, "1 C h w"]]:
        rotation, translation = motion[..., :3], motion[..., 3:] / self.unit
        last = motion[..., 3:, 3:]
        translation = torch.cat([translation[..., :3, :], last], -2)
        return _matched(
            self.model, self.unit, image, previous_features, torch.cat([rotation, translation], -1), exists,
            intrinsics,
        )  # fmt: skip


def _matched(
    model: ManyDepth, unit: float, image: Tensor, features: Tensor, motion: Tensor, exists: Tensor, k: Tensor
) -> tuple[Tensor, Tensor]:
    own = model.depth.features(image)
    student: Student = model.depth(own, features, motion, exists > 0.5, k)
    return unit / model.depth.disparity(student.sigmoids[0].float()), own.matching_features


@dataclass(frozen=True)
class Part:
    """One file of an export."""

    name: str
    graph: nn.Module
    inputs: Mapping[str, Tensor]
    """Examples, which fix the shapes."""
    outputs: tuple[str, ...]
    quantised: tuple[str, ...] = ()
    """Modules that int8 quantises; the rest stays in float32."""


def with_fixed_padding(model: Net) -> Net:
    """A copy in which convolutions that pad by the image's size do it by their stride: the same for sides in
    multiples of 32, and no sums over symbolic sizes in a file for any size."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, conv in parent.named_children():
            if isinstance(conv, Conv2dSame):
                missing = [k - s for k, s in zip(conv.kernel_size, conv.stride, strict=True)]
                sides = [side for m in reversed(missing) for side in (m // 2, m - m // 2)]
                plain = nn.Conv2d(
                    conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, 0, 1, conv.groups,  # type: ignore[arg-type]
                    conv.bias is not None,
                )  # fmt: skip
                plain.weight, plain.bias = conv.weight, conv.bias
                setattr(parent, name, nn.Sequential(nn.ZeroPad2d((*sides,)), plain))  # type: ignore[arg-type]
    return model


def parts_of(
    model: MonoDepth | ManyDepth, card: ModelCard, size: tuple[int, int], everything: bool, half: bool
) -> list[Part]:
    """What is exported of a model, for images of this size (height, width). everything: beside depth (of a
    ManyDepth: stream) also pose and match. InputError for what this model has not."""
    unit = card.factor if card.scale == "metres" else 1.0
    image = torch.linspace(0, 1, 3 * size[0] * size[1]).view(1, 3, *size)
    quantised = _quantised("network" if isinstance(model, MonoDepth) else "model.depth", model.depth)
    depth = Part("depth", DepthGraph(model, unit, half), {"image": image}, ("depth",), quantised)
    found: list[Part] = []
    if isinstance(model, ManyDepth):
        given = stream_examples(model, image)
        wanted = {name: given[name] for name in stream_inputs(model.architecture)}
        found.append(Part("stream", StreamGraph(model, unit), wanted, ("depth", "features"), quantised))
        if everything:
            known = {"image": image, "previous_features": given["previous_features"],
                     "motion": torch.eye(4).repeat(1, len(model.architecture.matching), 1, 1),
                     "exists": given["exists"], "intrinsics": given["intrinsics"]}  # fmt: skip
            found += [depth, Part("match", MatchGraph(model, unit), known, ("depth", "features"))]
    else:
        found.append(depth)
    if everything:
        pair = {"earlier": image, "later": image.flip(-1)}
        outputs = ("axis_angle", "translation", "later_from_earlier")
        found.append(Part("pose", PoseGraph(model, unit), pair, outputs))
    return found


def _quantised(path: str, net: DisparityNet) -> tuple[str, ...]:
    """What int8 quantises of the depth network at `path` in a graph. The encoder down to stride 4 stays in
    float32: it is cheap, causes half of int8's error, and a ManyDepth's sweep compares its maps. So does the
    convolution that joins these maps with the sweep's costs, whose values are of another size."""
    encoder = tuple(f"encoder.{name}" for name in net.encoder.deep_modules)
    return tuple(f"{path}.{name}" for name in (*encoder, "decoder"))


def stream_examples(model: ManyDepth, image: Float[Tensor, "1 3 H W"]) -> dict[str, Any]:
    """Inputs of the part `stream`, all of them."""
    frames = len(model.architecture.matching)
    with torch.no_grad():
        features = model.depth.matching_features(image)
    height, width = image.shape[-2:]
    k = torch.tensor([[[0.6 * width, 0, width / 2], [0, 0.6 * width, height / 2], [0, 0, 1]]])
    return {
        "previous_images": image.flip(-1)[:, None].repeat(1, frames, 1, 1, 1),
        "previous_features": features[:, None].repeat(1, frames, 1, 1, 1),
        "previous_depth": image.new_ones(1, frames, height, width),
        "exists": image.new_ones(1, frames),
        "moved": image.new_ones(1, frames),
        "intrinsics": k,
        "image": image,
    }
