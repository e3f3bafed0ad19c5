"""Images without lens distortion: what an ideal pinhole camera with the same K shows."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mono2many.geometry.camera import undistortion_pixels
from mono2many.geometry.warp import sample
from mono2many.io.camera_file import Camera


class Undistortion:
    """Of the images of one camera, at the camera's own size; black where the lens shows nothing."""

    def __init__(self, camera: Camera) -> None:
        self.pixels: Float[Tensor, "1 H W 2"] | None = None
        """Where in the distorted image each pixel lies; None: nothing is distorted."""
        if camera.is_distorted:
            lens = camera.intrinsics, camera.distortion, camera.height, camera.width
            self.pixels = undistortion_pixels(*lens, camera.distortion_model)[None]

    def __call__(self, images: Float[Tensor, "C H W"]) -> Float[Tensor, "C H W"]:
        """Any number of channels at once."""
        return images if self.pixels is None else sample(images[None], self.pixels)[0][0]

    def frames(self, frames: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 H W"]:
        """RGB, 0 to 255, rounded."""
        if self.pixels is None:
            return frames
        return self(frames.flatten(0, 1).float()).round_().to(torch.uint8).unflatten(0, (-1, 3))
