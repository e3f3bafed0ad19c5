"""Cameras learnt with depth and motion, where no one calibrated them (Gordon et al. 2019, sec. 4)."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.geometry.camera import mirror_intrinsics
from mono2many.models.pose import RelativePose
from mono2many.types import Batch


class LearntCameras(nn.Module):
    """N pinhole cameras without distortion: for each one vector, softplus of which is fx / W, fy / H,
    (cx + 0.5) / W, (cy + 0.5) / H. Resizing an image changes none of these."""

    start: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(count, 4))
        self.register_buffer("start", torch.zeros(count, 4))

    def start_from(self, intrinsics: Float[Tensor, "N 3 3"], height: int, width: int) -> None:
        """Set the cameras to these, in pixels of height x width."""
        k = intrinsics
        shares = torch.stack(
            [
                k[:, 0, 0] / width,
                k[:, 1, 1] / height,
                (k[:, 0, 2] + 0.5) / width,
                (k[:, 1, 2] + 0.5) / height,
            ],
            1,
        )
        with torch.no_grad():
            self.raw.copy_(shares.expm1().log())
            self.start.copy_(shares)

    def intrinsics_prior(self) -> Float[Tensor, ""]:
        """(ln fx / fy)^2 in the videos' own pixels, plus the squared displacement of the principal point as a
        share of the image: in nearly all cameras pixels are square and lenses centred, and forward motion
        determines neither."""
        shares = F.softplus(self.raw.float())
        stretch = (shares[:, :2] / self.start[:, :2]).log()
        shift = shares[:, 2:] - self.start[:, 2:]
        return ((stretch[:, 0] - stretch[:, 1]).square() + shift.square().sum(1)).mean()

    def forward(self, camera: Int64[Tensor, "B"], height: int, width: int) -> Float[Tensor, "B 3 3"]:
        """K of each sample's camera in pixels of height x width; float32, with gradient."""
        fx, fy, cx, cy = F.softplus(self.raw.float())[camera].unbind(1)
        zero, one = torch.zeros_like(fx), torch.ones_like(fx)
        rows = (fx * width, zero, cx * width - 0.5, zero, fy * height, cy * height - 0.5, zero, zero, one)
        return torch.stack(rows, 1).unflatten(1, (3, 3))


def scale_pose_by_focal(
    model: object, motion: RelativePose, intrinsics: Float[Tensor, "B 3 3"], width: int
) -> RelativePose:
    """The pose network's output for a camera of this K, of a model with learnt cameras: sideways rotation and
    translation are predicted for the focal length that training began with, and scaled, so that another focal
    length moves the image's centre by as many pixels. Otherwise the noise of the poses lowers every focal
    length, and the networks have to follow each change. Other models: unchanged."""
    cameras = getattr(model, "cameras", None)
    if cameras is None:
        return motion
    ratio = cameras.start[:, 0].mean() * width / intrinsics[:, 0, 0]
    one = torch.ones_like(ratio)
    sideways = torch.stack([ratio, ratio, one], 1).unsqueeze(1)
    return RelativePose(motion.axis_angle * sideways, motion.translation * sideways)


def with_learnt_cameras(batch: Batch, cameras: LearntCameras | None) -> Batch:
    """The batch seen through the cameras as they are learnt so far; as it is where none are."""
    if cameras is None:
        return batch
    assert batch.camera is not None
    height, width = batch.target.shape[-2:]
    own = cameras(batch.camera, height, width)
    if batch.mirrored is not None:
        own = torch.where(batch.mirrored[:, None, None], mirror_intrinsics(own, width), own)
    count = batch.sources.shape[1]
    return replace(batch, intrinsics=own, source_intrinsics=own[:, None].expand(-1, count, -1, -1))
