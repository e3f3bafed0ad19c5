"""RGB tensors as yuv420p frames, which encoders take."""

import av
import numpy as np
from jaxtyping import UInt8
from torch import Tensor


def as_yuv(image: UInt8[Tensor, "3 h w"], height: int, width: int) -> av.VideoFrame:
    """yuv420p, BT.709, of that even size."""
    pixels = np.ascontiguousarray(image.detach().cpu().permute(1, 2, 0).numpy())
    if any(side % 2 for side in image.shape[1:]):
        pixels = np.pad(pixels, ((0, image.shape[1] % 2), (0, image.shape[2] % 2), (0, 0)), "edge")
    rgb = av.VideoFrame.from_numpy_buffer(pixels, format="rgb24")
    return rgb.reformat(width, height, "yuv420p", dst_colorspace="ITU709", interpolation="BILINEAR")


def side_by_side(left: av.VideoFrame, right: av.VideoFrame) -> av.VideoFrame:
    """Two yuv420p frames of one even size."""
    both = av.VideoFrame(2 * left.width, left.height, "yuv420p")
    for plane, *halves in zip(both.planes, left.planes, right.planes, strict=True):
        width = halves[0].width
        for i, half in enumerate(halves):
            _pixels(plane)[:, i * width : (i + 1) * width] = _pixels(half)[:, :width]
    return both


def _pixels(plane: av.video.plane.VideoPlane) -> UInt8[np.ndarray, "h w"]:
    """The plane's own memory, whose rows may be longer than the frame is wide."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
