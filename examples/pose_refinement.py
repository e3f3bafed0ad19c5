"""How good are relative poses, by the network, refined with all pixels alike, and refined as it is done now?

python examples/pose_refinement.py                            on unseen streets, against their exact poses
python examples/pose_refinement.py --video FILE --camera FILE.json       on a video of a camera that drives
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import tyro
from torch import Tensor

from mono2many.geometry import align
from mono2many.geometry.pose import invert, rotation_angle
from mono2many.models.mono import MonoDepth
from mono2many.predict.inputs import camera_source, list_inputs, through_lens
from mono2many.predict.predictor import Predictor, load
from mono2many.predict.trajectory import relative_poses
from mono2many.street.reader import Drive, StreetSettings, SyntheticReader

KINDS: tuple[tuple[Drive, float, float], ...] = (
    ("steady", 0.75, 0.0),
    ("stop-and-go", 0.3, 0.0),
    ("steady", 1.5, 0.01),
    ("steady", 0.0, 0.01),
)
"""Of street: how the camera drives, metres from frame to frame, noise in grey values."""


@dataclass(frozen=True)
class Settings:
    model: str = "starter"
    """A MonoDepth."""
    video: str | None = None
    camera: Path | None = None
    every: int = 10
    """Of the video each such frame, with the next one."""
    streets: int = 8


class Pair(NamedTuple):
    """Two frames 3 H W in [0, 1], K, and earlier_from_later where it is known."""

    earlier: Tensor
    later: Tensor
    intrinsics: Tensor
    exact: Tensor | None


class Found(NamedTuple):
    """earlier_from_later of each pair, N 4 4."""

    network: Tensor
    alike: Tensor
    refined: Tensor


def of_streets(s: Settings, drive: Drive, step: float, noise: float) -> Iterator[Pair]:
    reader = SyntheticReader(
        StreetSettings(s.streets, 4, 160, 512, step=step, variety="wide", drive=drive), "test"
    )
    for clip in range(s.streets):
        frames = [reader.frame(clip, index) for index in range(4)]
        images = [frame.image / 255 + noise * torch.randn(3, 160, 512) for frame in frames]
        poses = [frame.world_from_camera.double() for frame in frames if frame.world_from_camera is not None]
        for i in range(3):
            exact = invert(poses[i]) @ poses[i + 1]
            yield Pair(images[i], images[i + 1], frames[0].intrinsics, exact)


def of_video(s: Settings, predictor: Predictor) -> Iterator[Pair]:
    one = list_inputs([str(s.video)])[0]
    frames, camera_of = (image for _, image in one.frames().frames), camera_source(str(s.camera), None)
    images, intrinsics_of = through_lens(frames, camera_of, one.display())
    assert intrinsics_of is not None
    before = None
    for number, image in enumerate(images):
        size = image.shape[1], image.shape[2]
        if before is not None:
            k = predictor.camera(intrinsics_of(*size)[None], size)[0]
            yield Pair(before, predictor.inputs([image])[0], k, None)
        before = predictor.inputs([image])[0] if number % s.every == 0 else None


@torch.inference_mode()
def found(model: MonoDepth, pairs: list[Pair]) -> Found:
    def poses(refine: bool) -> Tensor:
        both = [(torch.stack([p.earlier, p.earlier, p.later]), p.intrinsics[None]) for p in pairs]
        return torch.cat([relative_poses(model, images, k, refine) for images, k in both])

    network, refined = poses(False), poses(True)
    align.NOISE, kept = 1e3, align.NOISE  # of which no difference stands out
    alike = poses(True)
    align.NOISE = kept
    return Found(network, alike, refined)


def main(s: Settings) -> None:
    torch.manual_seed(0)
    predictor = load(s.model)
    assert isinstance(predictor.model, MonoDepth)
    if s.video is not None:
        for name, poses in found(predictor.model, list(of_video(s, predictor)))._asdict().items():
            shift = poses[:, :3, 3]
            length = shift.norm(dim=1)
            ahead = (shift[:, :2].norm(dim=1) < 0.2 * shift[:, 2]) & (length > length.median() / 3)
            share = f"{ahead.float().mean():.3f} go ahead (within 11 degrees, a third of the median or more)"
            spread = f"median {length.median():.3f}, log length ± {length.log().std():.2f}"
            print(f"{name:8s} {len(poses)} pairs: {share}, {spread}")
        return
    for drive, step, noise in KINDS:
        pairs = list(of_streets(s, drive, step, noise))
        exact = torch.stack([p.exact for p in pairs if p.exact is not None])
        for name, poses in found(predictor.model, pairs)._asdict().items():
            shift = (poses[:, :3, 3] - exact[:, :3, 3]).norm(dim=1)
            turn = rotation_angle((invert(exact) @ poses)[:, :3, :3]).rad2deg()
            print(
                f"{drive:11s} {step:4g} m, noise {noise:g}, {len(pairs)} pairs, {name:8s} translation "
                f"{shift.mean():.3f} m, rotation {turn.median():.3f}, 90 % {turn.quantile(0.9):.3f} degrees"
            )


if __name__ == "__main__":
    main(tyro.cli(Settings))
