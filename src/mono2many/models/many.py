"""ManyDepth: a student that matches neighbours where there are any, and the MonoDepth that teaches it
(Watson et al. 2021)."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mono2many.geometry.align import refine_motions
from mono2many.models.cameras import LearntCameras
from mono2many.models.mono import MonoArchitecture, MonoDepth
from mono2many.models.pose import Motion, PoseNet, source_from_target
from mono2many.models.student import ManyArchitecture, Student, StudentNet
from mono2many.types import Batch, InputError

PredictedPoses = Mapping[int, tuple[Float[Tensor, "_ 1 3"], Float[Tensor, "_ 1 3"]]]
"""What the pose network said of the current frame and the ones at these offsets: axis-angle, translation."""


def matching_of(architecture: MonoArchitecture) -> tuple[int, ...]:
    """Frames that a model matches; a MonoDepth none."""
    return architecture.matching if isinstance(architecture, ManyArchitecture) else ()


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
        sweep_images: Float[Tensor, "B F 3 H W"] | None = None,
    ) -> tuple[list[Tensor], Tensor, Tensor, Tensor, Motion, Tensor | None, list[Tensor]]:
        """(the student's sigmoid maps, lowest-cost depth, confidence and matching residual, motion of every
        source as the network says it and, if so configured, as matrices that the images refined, the
        teacher's sigmoid maps): all that training differentiates, in one call of plain tensors, as Fabric
        wants it."""
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
            predicted = torch.cat([source_from_target(motion, offsets, "pairs", scale), moved[:, further]], 1)
            pictures = torch.cat([sources, matching[:, further]], 1)
            refined = refine_motions(predicted, target, pictures, disparity, intrinsics)
            at += [wanted[i] for i in further]
            moved, refined = refined[:, [at.index(o) for o in wanted]], refined[:, : len(offsets)]
        student = self.match(target, matching, exists, intrinsics, sweep_images, moved)
        parts = (student.sigmoids, student.lowest_cost_depth, student.confidence, student.matching_residual)
        return *parts, motion, refined, taught

    def on_batch(self, batch: Batch) -> tuple[list[Float[Tensor, "B 1 _ _"]], Motion]:
        """The student's sigmoid maps, matching the frames that the architecture names, and the motion of the
        loss's sources."""
        own, at = batch.first_sources(self.architecture.sources), self.matched(batch.source_offsets)
        motion = self.pose(*own.for_networks())
        matching, exists = batch.sources_jittered[:, at], batch.source_exists[:, at]
        predicted = _by_offset(motion, own.for_networks()[2])
        moved = self.motion(batch.target_jittered, matching, batch.intrinsics, predicted)
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
        sweep_images: Float[Tensor, "B F 3 H W"] | None = None,
        motion: Float[Tensor, "B F 4 4"] | None = None,
    ) -> Student:
        """The student on an image and its frames at `architecture.matching`; absent ones may hold anything
        finite. sweep_images: images to match it with, in place of those that the pose network sees.
        motion: what the method of that name says, where it is known already."""
        if motion is None:
            motion = self.motion(image, matching, intrinsics)
        pictures = matching if sweep_images is None else sweep_images
        with torch.no_grad():
            others = self.depth.matching_features(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
        return self.depth(self.depth.features(image), others, motion, exists, intrinsics)

    @torch.no_grad()
    def motion(
        self,
        image: Float[Tensor, "B 3 H W"],
        matching: Float[Tensor, "B F 3 H W"],
        intrinsics: Float[Tensor, "B 3 3"],
        predicted: PredictedPoses | None = None,
    ) -> Float[Tensor, "B F 4 4"]:
        """matching_from_current, if so configured refined by the teacher's depth; see `chained_motion`."""
        offsets = self.architecture.matching
        motion = chained_motion(self.pose, image, matching, offsets, self.units(image), predicted)
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
        sweep_images: Float[Tensor, "B F 3 H W"] | None = None,
        motion: Float[Tensor, "B F 4 4"] | None = None,
    ) -> Float[Tensor, "B H W"]:
        """The student's 1 / depth at the image's size, in the unit of the networks' depth. See `match`."""
        student = self.match(image, matching, exists, intrinsics, sweep_images, motion)
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
    predicted: PredictedPoses | None = None,
) -> Float[Tensor, "B F 4 4"]:
    """matching_from_current without gradient: the motion of each frame from the next nearer one on its side
    of time, chained. `offsets` by distance. translation_scale: see pose.source_from_target. predicted:
    poses predicted already of frames at these offsets and the current one, B 1 3 each."""
    frames, motions = [current, *matching.unbind(1)], dict[int, tuple[Tensor, Tensor]]()
    for i, j in enumerate(nearer(offsets)):
        if j == 0 and predicted is not None and offsets[i] in predicted:
            motions[i] = predicted[offsets[i]]
    asked = [i for i in range(len(offsets)) if i not in motions]
    if asked:
        sides = [(frames[i + 1], frames[nearer(offsets)[i]]) for i in asked]
        pairs = [pair if offsets[i] < 0 else pair[::-1] for i, pair in zip(asked, sides, strict=True)]
        earlier, later = (torch.cat(side) for side in zip(*pairs, strict=True))
        angles, shifts = (m.chunk(len(asked)) for m in pose(earlier, later[:, None], (1,)))
        motions |= dict(zip(asked, zip(angles, shifts, strict=True), strict=True))
    angle, shift = (torch.cat([motions[i][part] for i in range(len(offsets))], 1) for part in (0, 1))
    return chain((angle, shift), offsets, translation_scale)


def _by_offset(motion: Motion, offsets: Sequence[int]) -> PredictedPoses:
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
