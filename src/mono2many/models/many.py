"""ManyDepth: a student that matches neighbours where there are any, and the MonoDepth that teaches it
(Watson et al. 2021)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.geometry.align import refine_motions
from mono2many.geometry.camera import scale_intrinsics_plain
from mono2many.geometry.sweep import (
    Spacing,
    Sweep,
    averaged,
    depth_hypotheses,
    grey_patches,
    lowest_between,
    plane_sweep,
)
from mono2many.models.cameras import LearntCameras
from mono2many.models.decoder import LIGHT_WIDTHS, PAPER_WIDTHS
from mono2many.models.mono import DepthNet, MonoArchitecture, MonoDepth
from mono2many.models.pose import Motion, PoseNet, source_from_target
from mono2many.types import Batch, InputError

MatchBy = Literal["features", "pixels"]

Told = Mapping[int, tuple[Float[Tensor, "_ 1 3"], Float[Tensor, "_ 1 3"]]]
"""What the pose network said of the current frame and the ones at these offsets: axis-angle, translation."""


@dataclass(frozen=True)
class ManyArchitecture(MonoArchitecture):
    """A MonoDepth's for teacher and pose network; the student has its kinds of encoder and decoder, and:"""

    hypotheses: int = 96
    """Depths at which the sweep compares, between the nearest and the farthest that training saw."""
    spacing: Spacing = "linear"
    matching: tuple[int, ...] = (-1,)
    """The frames it compares with, counted from the target, by distance in time."""
    match_by: MatchBy = "features"
    """features: the student's at stride 4 are compared, along the motion that the network tells (the paper).
    pixels: grey values, 4 x 4 around every fourth pixel, are looked for at every pixel of the neighbour,
    along a motion that the pictures refined; and a gate draws depth to the least cost. Not in the paper."""

    @property
    def refines_motion(self) -> bool:
        """The network's motions are aligned with the pictures before they are used."""
        return self.match_by == "pixels"


def matching_of(architecture: MonoArchitecture) -> tuple[int, ...]:
    """Frames that a model matches; a MonoDepth none."""
    return architecture.matching if isinstance(architecture, ManyArchitecture) else ()


@dataclass(frozen=True)
class Student:
    """What the student says of B images; h w are a quarter of H W."""

    sigmoids: list[Float[Tensor, "B 1 _ _"]]
    """Finest first."""
    lowest_cost_depth: Float[Tensor, "B h w"]
    """Of the hypothesis that matched best, in the unit of the networks' depth."""
    confidence: Bool[Tensor, "B h w"]
    """Cells that were compared at every hypothesis (by pixels: at half of them): elsewhere the networks saw
    no cost at all."""
    pull: Float[Tensor, "B h w"]
    """How far the student's own log depth is from the least cost, times how far the gate is open: what it may
    still learn from matching. 0 by features."""


@dataclass(frozen=True)
class Seen:
    """Of B images, what the student knows before it looks at their neighbours."""

    stride2: Tensor | None
    """The encoder's maps; None where it has none there."""
    stride4: Float[Tensor, "B _ h w"]
    compared: Float[Tensor, "B C H W"]
    """What the sweep compares: h w, or finer."""


class StudentNet(nn.Module):
    """One image and its neighbours' features to disparity: a plane sweep between stride 4 and stride 8."""

    min_depth: Tensor
    max_depth: Tensor
    nearest: Tensor
    farthest: Tensor

    def __init__(self, architecture: ManyArchitecture, encoder_weights: str = "none") -> None:
        super().__init__()
        a = architecture
        self.hypotheses, self.spacing = a.hypotheses, a.spacing
        self.by_pixels = a.match_by == "pixels"
        net = DepthNet(a, encoder_weights)
        self.encoder, self.decoder = net.encoder, net.decoder
        channels = self.encoder.channels[1]
        self.reduce = nn.Conv2d(channels + a.hypotheses, channels, 3, padding=1)
        widths = LIGHT_WIDTHS if a.decoder == "light" else PAPER_WIDTHS
        self.gate = Gate(widths[2]) if self.by_pixels else None
        self.register_buffer("min_depth", net.min_depth)
        self.register_buffer("max_depth", net.max_depth)
        # the sweep's range follows the teacher's depth in training (sec. 3.2): it belongs to the weights
        self.register_buffer("nearest", torch.tensor(0.1))
        self.register_buffer("farthest", torch.tensor(10.0))

    @torch.no_grad()
    def set_range(self, nearest: Float[Tensor, ""], farthest: Float[Tensor, ""]) -> None:
        """The depths between which the sweep compares; numbers that are not finite change nothing."""
        good = nearest.isfinite() & farthest.isfinite()
        self.nearest.copy_(torch.where(good, nearest, self.nearest))
        self.farthest.copy_(torch.where(good, farthest, self.farthest))

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Seen:
        """What is computed of one image alone, before its neighbours are looked at."""
        stride2, stride4 = self.encoder.shallow(images)
        assert stride4 is not None
        return Seen(stride2, stride4, grey_patches(images) if self.by_pixels else stride4)

    def compared(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C _ _"]:
        """`features(images).compared`: all that the sweep wants of neighbours."""
        return grey_patches(images) if self.by_pixels else self.features(images).compared

    def forward(
        self,
        features: Seen,
        matching: Float[Tensor, "B F C H W"],
        matching_from_current: Float[Tensor, "B F 4 4"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> Student:
        """Of what `features` says of the images and `compared` of their neighbours, with K in pixels of the
        images. No gradient passes through the sweep (sec. 3.1). Without any neighbour the volume is empty:
        single-frame depth."""
        sweep, depths = self.sweep(features, matching, matching_from_current, exists, intrinsics)
        volume = sweep.volume * sweep.confidence.unsqueeze(1)
        stages = self._stages(features, volume)
        sigmoids = self.decoder.maps(stages)
        pull = sigmoids[0].new_zeros(sweep.confidence.shape)
        if self.gate is not None:
            own = self.disparity(sigmoids[0])
            opened, apart = self.gate(stages[2], own, lowest_between(sweep, depths), sweep)
            sigmoids = [self._drawn(sigmoid, opened * apart) for sigmoid in sigmoids]
            pull = (opened.detach() * apart.abs()).squeeze(1)
        return Student(sigmoids, depths[sweep.lowest_cost], sweep.confidence, pull)

    def _drawn(
        self, sigmoid: Float[Tensor, "B 1 _ _"], log_ratio: Float[Tensor, "B 1 h w"]
    ) -> Float[Tensor, "B 1 _ _"]:
        size = (sigmoid.shape[-2], sigmoid.shape[-1])
        ratio = F.interpolate(log_ratio, size, mode="bilinear").exp()
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return (((low + (high - low) * sigmoid) / ratio - low) / (high - low)).clamp(0, 1)

    def sweep(
        self,
        features: Seen,
        matching: Float[Tensor, "B F C H W"],
        matching_from_current: Float[Tensor, "B F 4 4"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> tuple[Sweep, Float[Tensor, " D"]]:
        """What `forward` makes the volume of, and the depths compared at."""
        # strided convolutions put cell j at pixel 4 j: K / 4, without half-pixel shift
        camera = scale_intrinsics_plain(intrinsics, (4, 4), (1, 1))
        depths = depth_hypotheses(self.nearest, self.farthest, self.hypotheses, self.spacing)
        finer = matching.shape[-1] // features.stride4.shape[-1]
        current = features.compared[..., ::finer, ::finer]
        sweep = plane_sweep(current, matching, matching_from_current, exists, camera, depths)
        if self.by_pixels:  # contrast differs: relative to the cell's mean, and to one grey level
            sweep = averaged(sweep, WINDOW)
            level = sweep.volume.mean(1, keepdim=True) + 1 / 255
            seen = sweep.missing.float().mean(1) < 0.5  # nearer to the border not all depths can be
            sweep = replace(sweep, volume=sweep.volume / level, confidence=seen)
        return sweep, depths

    def sigmoids(self, features: Seen) -> list[Float[Tensor, "B 1 _ _"]]:
        """Finest first, of single images: the volume is empty."""
        current = features.stride4
        nothing = current.new_zeros(len(current), self.hypotheses, *current.shape[-2:])
        return self.decoder.maps(self._stages(features, nothing))

    def _stages(self, features: Seen, volume: Float[Tensor, "B _ h w"]) -> list[Tensor]:
        """The decoder's."""
        current = features.stride4
        reduced = self.reduce(torch.cat([current, volume.to(current.dtype)], 1)).relu()
        # the decoder's skip at stride 4 is the image's own map, as the published weights have it
        return self.decoder.stages([features.stride2, current, *self.encoder.deep(reduced)])

    def disparity(self, sigmoid: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B H W"]:
        """1 / depth, in the unit of the networks' depth."""
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return low + (high - low) * sigmoid.squeeze(1)


WINDOW = 3
"""Cells across and down over which costs of pixels are averaged."""
LIMIT = 0.35
"""Of log depth: where one frame and the least cost differ by more (a factor of 1.4), something moves or is
hidden, and the gate is shut."""


class Gate(nn.Module):
    """How far each cell's depth is drawn to the depth of least cost. Not in the paper."""

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.opened = nn.Sequential(
            nn.Conv2d(channels + 6, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 1, 3, padding=1),
        )
        nn.init.constant_(self.opened[-1].bias, 1.0)  # type: ignore[arg-type]

    def forward(
        self,
        decoded: Float[Tensor, "B C h w"],
        disparity: Float[Tensor, "B H W"],
        best: Float[Tensor, "B h w"],
        sweep: Sweep,
    ) -> tuple[Float[Tensor, "B 1 h w"], Float[Tensor, "B 1 h w"]]:
        """(how far it is open, 0 to 1; how far the log depth of least cost lies above the student's).
        decoded: at stride 4; disparity: the student's own, cells being every fourth pixel; best: depth of
        least cost."""
        with torch.autocast(disparity.device.type, enabled=False):
            apart = ((best * disparity[:, ::4, ::4]).log() * sweep.confidence).unsqueeze(1)
            small = apart.clamp(-1, 1)
            margin = 1 - sweep.volume.amin(1) / (sweep.volume.mean(1) + 1e-6)  # of the least below the mean
            # a camera that stands, or motion told wrong, shows in the picture as a whole
            whole = (
                torch.cat([small, small.abs()], 1).mean((2, 3), keepdim=True).expand(-1, -1, *best.shape[1:])
            )
            told = [small, small.abs(), margin.unsqueeze(1), sweep.confidence.float().unsqueeze(1), whole]
            told = [decoded, *(x.to(decoded.dtype) for x in told)]
        opened = self.opened(torch.cat(told, 1)).float().sigmoid()
        return opened, torch.where(apart.abs() < LIMIT, apart, 0)


class ManyDepth(nn.Module):
    """Student, pose network and teacher. Weights: `depth.*`, `pose.*`, `teacher.*`. The teacher alone is
    `.teacher(image)`. Raises InputError for what has no meaning here."""

    cameras: LearntCameras | None

    def __init__(self, architecture: ManyArchitecture, encoder_weights: str = "none") -> None:
        super().__init__()
        self.cameras = None
        a = architecture
        if a.pose_type == "shared" or a.pose_input == "all" or a.predictive_mask:
            raise InputError(
                "--pose-type shared, --pose-input all and --predictive-mask do not go with ManyDepth, which "
                "chains the motions of pairs of pictures and trusts where they match; leave them out"
            )
        self.architecture = a
        self.depth = StudentNet(a, encoder_weights)
        mono = MonoDepth(a, encoder_weights)
        self.pose, self.teacher = mono.pose, mono.depth

    def forward(
        self,
        target: Float[Tensor, "B 3 H W"],
        sources: Float[Tensor, "B S 3 H W"],
        offsets: Sequence[int],
        matching: Float[Tensor, "B F 3 H W"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
        compared: Float[Tensor, "B F 3 H W"] | None = None,
    ) -> tuple[list[Tensor], Tensor, Tensor, Tensor, Motion, Tensor | None, list[Tensor]]:
        """(the student's sigmoid maps, lowest-cost depth, confidence and pull, motion of every source as the
        network says it and, if so configured, as matrices that the pictures refined, the teacher's sigmoid
        maps): all that training differentiates, in one call of plain tensors, as Fabric wants it."""
        motion = self.pose(target, sources, offsets)
        taught = self.teacher.decoder(self.teacher.encoder(target))
        disparity = self.depth.disparity(taught[0].detach())
        scale = disparity.mean((1, 2)) if self.pose.pose_type == "posecnn" else None
        moved = chained_motion(
            self.pose, target, matching, self.architecture.matching, scale, _by_offset(motion, offsets)
        )
        refined = None
        if self.architecture.refines_motion:
            wanted, at = self.architecture.matching, list(offsets)
            further = [i for i, offset in enumerate(wanted) if offset not in at]  # each pair is aligned once
            told = torch.cat([source_from_target(motion, offsets, "pairs", scale), moved[:, further]], 1)
            pictures = torch.cat([sources, matching[:, further]], 1)
            refined = refine_motions(told, target, pictures, disparity, intrinsics)
            at += [wanted[i] for i in further]
            moved, refined = refined[:, [at.index(o) for o in wanted]], refined[:, : len(offsets)]
        student = self.match(target, matching, exists, intrinsics, compared, moved)
        parts = (student.sigmoids, student.lowest_cost_depth, student.confidence, student.pull)
        return *parts, motion, refined, taught

    def on_batch(self, batch: Batch) -> tuple[list[Float[Tensor, "B 1 _ _"]], Motion]:
        """The student's sigmoid maps, matching the frames that the architecture names, and the motion of the
        loss's sources."""
        own, at = batch.first_sources(self.architecture.sources), self.matched(batch.source_offsets)
        motion = self.pose(*own.for_networks())
        matching, exists = batch.sources_jittered[:, at], batch.source_exists[:, at]
        told = _by_offset(motion, own.for_networks()[2])
        moved = self.motion(batch.target_jittered, matching, batch.intrinsics, told)
        student = self.match(batch.target_jittered, matching, exists, batch.intrinsics, None, moved)
        return student.sigmoids, motion

    def matched(self, offsets: Sequence[int]) -> list[int]:
        """Places of the frames to match among sources at these offsets."""
        return [list(offsets).index(offset) for offset in self.architecture.matching]

    def match(
        self,
        image: Float[Tensor, "B 3 H W"],
        matching: Float[Tensor, "B F 3 H W"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
        compared: Float[Tensor, "B F 3 H W"] | None = None,
        motion: Float[Tensor, "B F 4 4"] | None = None,
    ) -> Student:
        """The student on an image and its frames at `architecture.matching`; absent ones may hold anything
        finite. compared: pictures to look for the image in, in place of those that motion is told from.
        motion: what the method of that name says, where it is known already."""
        if motion is None:
            motion = self.motion(image, matching, intrinsics)
        pictures = matching if compared is None else compared
        with torch.no_grad():
            others = self.depth.compared(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
        return self.depth(self.depth.features(image), others, motion, exists, intrinsics)

    @torch.no_grad()
    def motion(
        self,
        image: Float[Tensor, "B 3 H W"],
        matching: Float[Tensor, "B F 3 H W"],
        intrinsics: Float[Tensor, "B 3 3"],
        told: Told | None = None,
    ) -> Float[Tensor, "B F 4 4"]:
        """matching_from_current, if so configured refined by the teacher's depth; see `chained_motion`."""
        offsets = self.architecture.matching
        motion = chained_motion(self.pose, image, matching, offsets, self.units(image), told)
        if self.architecture.refines_motion:
            motion = refine_motions(motion, image, matching, self.teacher(image), intrinsics)
        return motion

    def units(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"] | None:
        """What the pose network's translations are in units of: PoseCNN's of the image's mean disparity."""
        return self.teacher(image).mean((1, 2)) if self.pose.pose_type == "posecnn" else None

    def single(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H W"]:
        """The student's 1 / depth without neighbours."""
        return self.depth.disparity(self.depth.sigmoids(self.depth.features(image))[0])

    def disparity(
        self,
        image: Float[Tensor, "B 3 H W"],
        matching: Float[Tensor, "B F 3 H W"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
        compared: Float[Tensor, "B F 3 H W"] | None = None,
        motion: Float[Tensor, "B F 4 4"] | None = None,
    ) -> Float[Tensor, "B H W"]:
        """The student's 1 / depth at the image's size, in the unit of the networks' depth. See `match`."""
        student = self.match(image, matching, exists, intrinsics, compared, motion)
        return self.depth.disparity(student.sigmoids[0])

    def as_mono(self) -> MonoDepth:
        """Teacher and pose network as the MonoDepth that they are; the weights are shared."""
        mono = MonoDepth(self.architecture)
        mono.depth, mono.pose = self.teacher, self.pose
        return mono.train(self.training)


@torch.no_grad()
def chained_motion(
    pose: PoseNet,
    current: Float[Tensor, "B 3 H W"],
    matching: Float[Tensor, "B F 3 H W"],
    offsets: Sequence[int],
    translation_scale: Float[Tensor, "B"] | None = None,
    told: Told | None = None,
) -> Float[Tensor, "B F 4 4"]:
    """matching_from_current without gradient: the motion of each frame from the next nearer one on its side
    of time, chained. `offsets` by distance. translation_scale: see pose.source_from_target. told: what the
    network has said already of frames at these offsets and the current one, B 1 3 each."""
    frames, motions = [current, *matching.unbind(1)], dict[int, tuple[Tensor, Tensor]]()
    for i, j in enumerate(nearer(offsets)):
        if j == 0 and told is not None and offsets[i] in told:
            motions[i] = told[offsets[i]]
    asked = [i for i in range(len(offsets)) if i not in motions]
    if asked:
        sides = [(frames[i + 1], frames[nearer(offsets)[i]]) for i in asked]
        pairs = [pair if offsets[i] < 0 else pair[::-1] for i, pair in zip(asked, sides, strict=True)]
        earlier, later = (torch.cat(side) for side in zip(*pairs, strict=True))
        angles, shifts = (m.chunk(len(asked)) for m in pose(earlier, later[:, None], (1,)))
        motions |= dict(zip(asked, zip(angles, shifts, strict=True), strict=True))
    angle, shift = (torch.cat([motions[i][part] for i in range(len(offsets))], 1) for part in (0, 1))
    return chain((angle, shift), offsets, translation_scale)


def _by_offset(motion: Motion, offsets: Sequence[int]) -> Told:
    """Without gradient."""
    angle, shift = (part.detach().split(1, 1) for part in motion)
    return {offset: (angle[i], shift[i]) for i, offset in enumerate(offsets)}


def nearer(offsets: Sequence[int]) -> list[int]:
    """For each offset (by distance in time) the place of the next nearer one on its side, counted from 1;
    0: the current frame."""
    assert list(offsets) == sorted(offsets, key=abs), f"offsets by distance in time, got {offsets}"
    return [
        max((j + 1 for j in range(i) if offsets[j] * offset > 0), default=0)
        for i, offset in enumerate(offsets)
    ]


def chain(
    motion: Motion, offsets: Sequence[int], translation_scale: Float[Tensor, "B"] | None = None
) -> Float[Tensor, "B F 4 4"]:
    """matching_from_current of what the pose network says of each frame and its next nearer one."""
    with torch.autocast(motion[0].device.type, enabled=False):
        links = source_from_target(motion, offsets, "pairs", translation_scale)
        found = [torch.eye(4, device=links.device).expand_as(links[:, 0])]
        for j, link in zip(nearer(offsets), links.unbind(1), strict=True):
            found.append(link @ found[j])
    return torch.stack(found[1:], 1)
