"""ManyDepth: a student that matches neighbours where there are any, and its teacher, a MonoDepth
(Watson et al. 2021)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mono2many.geometry.align import refine_motions
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.cameras import LearntCameras
from mono2many.models.chain import PredictedPoses, by_offset, chained_motion
from mono2many.models.mono import MonoDepth
from mono2many.models.pixels import PixelStudentNet, PosedFrames, refine_together
from mono2many.models.pose import RelativePose, source_from_target
from mono2many.models.student import Student, StudentNet
from mono2many.types import Batch, InputError, select


class ManyOutput(NamedTuple):
    """All that training differentiates, in plain tensors, as Fabric and DDP need it."""

    student: Student
    pose: RelativePose
    """Of every source, as the network predicts it."""
    source_from_target: Float[Tensor, "B S 4 4"] | None
    """The same refined by direct alignment; None where the architecture does not refine."""
    teacher: list[Float[Tensor, "B 1 _ _"]]
    """The teacher's sigmoid maps, finest first."""
    sweep_range: tuple[Float[Tensor, ""], Float[Tensor, ""]]
    """Nearest and farthest hypothesis of the student's sweep."""


class ManyDepth(nn.Module):
    """Student, pose network and teacher. Weights: `depth.*`, `pose.*`, `teacher.*`. The teacher alone is
    `.teacher(image)`. Raises InputError for what has no meaning here."""

    cameras: LearntCameras | None

    def __init__(self, architecture: ManyArchitecture, encoder_weights: str = "none") -> None:
        super().__init__()
        self.cameras = None
        self.architecture = a = architecture
        if a.pose_type == "shared" or a.pose_input == "all" or a.predictive_mask:
            raise InputError(
                "--pose-type shared, --pose-input all and --predictive-mask do not go with ManyDepth, which "
                "chains the poses of pairs of frames: leave them out"
            )
        self.depth = (PixelStudentNet if a.match_by == "pixels" else StudentNet)(a, encoder_weights)
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
        valid_mask: Bool[Tensor, "B H W"] | None = None,
    ) -> ManyOutput:
        """Student, pose network and teacher in one call; see `match` for the student's inputs. valid_mask:
        pixels of the target by which poses are refined."""
        wanted = self.architecture.matching
        pose = self.pose(target, sources, offsets)
        teacher = self.teacher.decoder(self.teacher.encoder(target))
        disparity = self.depth.disparity(teacher[0].detach())
        scale = disparity.mean((1, 2)) if self.architecture.pose_scaled_by_disparity else None
        chained = chained_motion(self.pose, target, matching, wanted, scale, by_offset(pose, offsets))
        refined = None
        if self.architecture.refines_motion:
            predicted = source_from_target(pose, offsets, "pairs", scale)
            refined, chained = refine_together(
                PosedFrames(offsets, sources, predicted),
                PosedFrames(wanted, matching, chained),
                target,
                disparity,
                intrinsics,
                valid_mask,
            )
        student = self.match(target, matching, exists, intrinsics, sweep_images, chained)
        return ManyOutput(student, pose, refined, teacher, (self.depth.nearest, self.depth.farthest))

    def on_batch(self, batch: Batch) -> tuple[list[Float[Tensor, "B 1 _ _"]], RelativePose]:
        """The student's sigmoid maps, matching the frames that the architecture names, and the pose of the
        loss's sources."""
        target, sources, offsets = batch.first_sources(self.architecture.sources).for_networks()
        pose = self.pose(target, sources, offsets)
        at = [batch.source_offsets.index(offset) for offset in self.architecture.matching]
        matching, exists = select(batch.sources_jittered, at), select(batch.source_exists, at)
        predicted = by_offset(pose, offsets)
        motion = self.motion(target, matching, batch.intrinsics, predicted, batch.valid_mask)
        return self.match(target, matching, exists, batch.intrinsics, None, motion).sigmoids, pose

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
        motion: the result of the method of that name, where it is known already."""
        motion = self.motion(image, matching, intrinsics) if motion is None else motion
        images = matching if sweep_images is None else sweep_images
        with torch.no_grad():
            others = self.depth.matching_features(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        return self.depth(self.depth.features(image), others, motion, exists, intrinsics)

    @torch.no_grad()
    def motion(
        self,
        image: Float[Tensor, "B 3 H W"],
        matching: Float[Tensor, "B F 3 H W"],
        intrinsics: Float[Tensor, "B 3 3"],
        predicted: PredictedPoses | None = None,
        valid_mask: Bool[Tensor, "B H W"] | None = None,
    ) -> Float[Tensor, "B F 4 4"]:
        """matching_from_current, if so configured refined by the teacher's depth, where `valid_mask` is
        True; see `chained_motion`."""
        offsets = self.architecture.matching
        motion = chained_motion(self.pose, image, matching, offsets, self.units(image), predicted)
        if self.architecture.refines_motion:
            disparity = self.teacher(image)
            motion = refine_motions(motion, image, matching, disparity, intrinsics, None, valid_mask)
        return motion

    def units(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B"] | None:
        """What the pose network's translations are in units of: PoseCNN's of the image's mean disparity."""
        return self.teacher(image).mean((1, 2)) if self.architecture.pose_scaled_by_disparity else None

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
