"""A model for other runtimes: `mono2many export`."""

from dataclasses import dataclass
from typing import Literal

from mono2many.commands.flags import parse
from mono2many.commands.inputs import model_must_exist, must_exist
from mono2many.datasets.base import at_least, network_size
from mono2many.errors import InputError

Format = Literal["onnx", "openvino", "pt2"]
Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class ExportConfig:
    """Write a model for other runtimes, and compare what they compute with the original."""

    model: str = "starter"
    """Model folder; by default the one that comes with the package."""
    last: bool = False
    """Use the last model of a run instead of the best (lowest validation error)."""
    format: Format = "onnx"
    """onnx: for ONNX Runtime and most others. openvino: fast on CPUs. pt2: PyTorch's exported program."""
    precision: Precision = "fp32"
    """fp16: half the size. int8: fast on CPUs; calibrated on --frames (onnx, openvino)."""
    out: str | None = None
    """Folder to write; by default exported/MODEL-FORMAT-PRECISION."""
    height: int | None = None
    """Image height in pixels, a multiple of 32; by default the size that fits --frames, else the model's."""
    width: int | None = None
    """Image width in pixels, a multiple of 32."""
    dynamic_batch: bool = False
    """Any number of images in a call (depth and pose); else one."""
    dynamic_size: bool = False
    """Any size in multiples of 32 (a MonoDepth's depth and pose)."""
    parts: bool = False
    """Also write the pose network, and of a ManyDepth single-frame depth and matching along known motion."""
    frames: tuple[str, ...] = ()
    """Images, folders or videos to compare on, and to calibrate int8; by default the procedural street."""
    count: int = 32
    """Of these so many frames; of int8 so many to calibrate and as many others to compare."""
    camera: str | None = None
    """Camera file of --frames, for a ManyDepth."""
    fov: float | None = None
    """The same as a horizontal field of view in degrees."""
    limit: float | None = None
    """int8: refused where depth differs by more from the original's, a mean over pixels, as a share; by
    default 0.05."""

    def __post_init__(self) -> None:
        at_least("--count", self.count, 2)
        if (self.height is None) != (self.width is None):
            raise InputError("--height and --width belong together: give both")
        network_size(self.height, self.width)
        if self.camera is not None and self.fov is not None:
            raise InputError("--camera and --fov are both given; keep --camera, which knows more")
        if self.limit is not None and not self.limit > 0:
            raise InputError(f"--limit must be above 0, got {self.limit:g}")
        if self.limit is not None and self.precision != "int8":
            raise InputError("--limit is for --precision int8; fp32 and fp16 have limits of their own")
        if self.precision == "int8" and self.format == "pt2":
            raise InputError("--precision int8 is for --format onnx and openvino")
        if self.precision == "int8" and not self.frames:
            raise InputError(
                "--precision int8 is calibrated on frames like those that it is for: add --frames VIDEO"
            )


def run(arguments: list[str]) -> None:
    config = parse(ExportConfig, "mono2many export", arguments)
    model_must_exist("--model", config.model, weights=True)
    must_exist("--frames", config.frames)
    must_exist("--camera", [config.camera])
    from mono2many.export.run import export

    export(config)
