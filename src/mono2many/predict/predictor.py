"""One image in, depth out: the model with its own sizes, units and device."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from mono2many.devices import Precision, pick_bf16, pick_device
from mono2many.geometry.camera import resize_intrinsics
from mono2many.io.images import kept_rows, read_image, resize_image
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard, check_shape, input_size, load_model, read_card
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.starter import best_of
from mono2many.predict.confidence import Cues, log_depth_std, single_frame_cues
from mono2many.predict.depth_map import DepthMap, assumed_intrinsics
from mono2many.predict.exported import Exported, read_notes
from mono2many.types import InputError

if TYPE_CHECKING:
    from mono2many.predict.video import Stream

Image: TypeAlias = str | os.PathLike[str] | PIL.Image.Image | ndarray | Tensor
Network: TypeAlias = MonoDepth | ManyDepth | Exported
IMAGES = "a path, a PIL image, H W 3 uint8 (NumPy) or 3 H W uint8 (torch)"
BATCH = 4
"""Images of a list that are predicted together."""


class Predictor:
    """A trained model, ready for images of any size. `.model` is the nn.Module (an Exported's networks are in
    its files), `.card` what its folder stores."""

    def __init__(
        self,
        model: Network,
        card: ModelCard,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        if isinstance(self.model, torch.nn.Module):
            self.model.eval().to(memory_format=torch.channels_last)
        self.card = card
        self.matches = isinstance(card.architecture, ManyArchitecture)
        """It is a ManyDepth, which matches the frames of a video."""
        if precision == "bf16" and isinstance(model, Exported):
            raise InputError(
                "--precision bf16: an export computes in the precision that it was made with; leave it out"
            )
        self.bf16 = not isinstance(model, Exported) and pick_bf16(precision, self.device.type)
        """The networks compute in bfloat16 where that is accurate enough; geometry and depth in float32."""
        self.unit = card.factor if card.scale == "metres" else 1.0
        """What the network's depth is multiplied by: here, and nowhere else."""

    @overload
    def __call__(self, image: Image, std: bool = False) -> DepthMap: ...

    @overload
    def __call__(self, image: list[Any] | tuple[Any, ...], std: bool = False) -> list[DepthMap]: ...

    def __call__(
        self, image: Image | list[Any] | tuple[Any, ...], std: bool = False
    ) -> DepthMap | list[DepthMap]:
        """Depth of one image at its own size, or of each of a list, which may differ in size.

        image: a file's path, a PIL image, H W 3 uint8 (NumPy) or 3 H W uint8 (torch), RGB, 0 to 255; a list
        of these, or such arrays stacked, gives a list. Of a ManyDepth single-frame depth: see `stream`.
        std: also the standard deviation of log depth (predict/confidence.py): twice the time. Raises
        InputError for anything else."""
        if isinstance(image, ndarray | Tensor) and image.ndim == 4:
            image = list(image)
        if not isinstance(image, list | tuple):
            return self.depth_maps([as_image(image)], std=std)[0]
        found: list[DepthMap] = []
        for start in range(0, len(image), BATCH):
            images = [as_image(one) for one in image[start : start + BATCH]]
            sizes = [input_size(self.card, one.shape[-2:]) for one in images]
            for size, group in groupby(range(len(images)), key=sizes.__getitem__):
                found += self.depth_maps([images[i] for i in group], std=std, size=size)
        return found

    def depth_maps(
        self,
        images: Sequence[UInt8[Tensor, "3 _ _"]],
        flip: bool = False,
        std: bool = False,
        size: tuple[int, int] | None = None,
        full_size: bool = True,
        intrinsics: Sequence[Float[Tensor, "3 3"] | None] = (),
    ) -> list[DepthMap]:
        """Of several images together; flip as in `disparity`, size as in `inputs`, full_size and each
        one's intrinsics as in `as_depth_maps`."""
        found, cues = self.predict_inputs(self.inputs(images, size), flip, std)
        std_maps = None if cues is None else log_depth_std(cues)
        return self.as_depth_maps(found, images, std_maps, intrinsics, full_size)

    def as_depth_maps(
        self,
        disparity: Float[Tensor, "B h w"],
        images: Sequence[UInt8[Tensor, "3 _ _"]],
        std: Float[Tensor, "B h w"] | None = None,
        intrinsics: Sequence[Float[Tensor, "3 3"] | None] = (),
        full_size: bool = True,
    ) -> list[DepthMap]:
        """What this model predicted of images. intrinsics: each one's K in its pixels, where it is known.
        full_size: at the images' size, else about the model's, without image and intrinsics."""
        maps = self._at_sizes(disparity, images, full_size)
        stds = [None] * len(images) if std is None else self._at_sizes(std, images, full_size)
        found = [DepthMap(1 / d, d, self.card.scale, std=s) for d, s in zip(maps, stds, strict=True)]
        if not full_size:
            return found
        cameras = [
            self.learnt_intrinsics(image.shape[1:]) if k is None else k
            for image, k in zip(images, intrinsics or [None] * len(images), strict=True)
        ]
        each = zip(found, images, cameras, strict=True)
        return [replace(one, image=image, intrinsics=k) for one, image, k in each]

    def _at_sizes(
        self, maps: Float[Tensor, "B h w"], images: Sequence[UInt8[Tensor, "3 _ _"]], full_size: bool
    ) -> list[Float[Tensor, "_ _"]]:
        """On the CPU, those of images of one size together."""
        found = list[Tensor]()
        for (height, width), group in groupby(images, key=lambda image: tuple(image.shape[1:])):
            size = height, width
            if not full_size:
                rows = kept_rows(height, self.card.crop_bottom)
                size = round(maps.shape[1] * height / rows), maps.shape[2]
            some = maps[len(found) : len(found) + len(list(group))]
            found += self.at_size(some, size).cpu()
        return found

    def usual_intrinsics(self, height: int, width: int) -> Float[Tensor, "3 3"]:
        """K of images of this size, where nobody gives one: the learnt camera's, or a phone's, with a
        warning."""
        learnt = self.learnt_intrinsics((height, width))
        return assumed_intrinsics(height, width) if learnt is None else learnt

    def learnt_intrinsics(self, size: Sequence[int]) -> Float[Tensor, "3 3"] | None:
        """K of images of this size (height, width) in their pixels, of a model that learnt one camera."""
        cameras = self.model.cameras
        if cameras is None or len(cameras.raw) != 1:
            return None
        rows = kept_rows(size[0], self.card.crop_bottom)
        first = torch.zeros(1, dtype=torch.int64, device=cameras.raw.device)
        return cameras(first, rows, size[1])[0].detach().cpu()

    def to(self, device: str | torch.device) -> "Predictor":
        """Moves the model to a device, as nn.Module.to does, and returns itself. "auto": a GPU if there is
        one. Results lie on the CPU all the same."""
        self.device = torch.device(pick_device(device) if isinstance(device, str) else device)
        self.model.to(self.device)
        return self

    def pose(
        self, first: Image, second: Image, intrinsics: ndarray | Tensor | None = None, refine: bool = False
    ) -> Float[Tensor, "4 4"]:
        """first_from_second of two frames of one camera, float64.

        intrinsics: K, 3x3, in pixels of the frames, for a model that learnt its cameras, and for `refine`,
        which aligns the frames by the predicted depth: then the translation has depth's unit, else only on
        footage like the training's. InputError for a model without a pose network."""
        from mono2many.predict.trajectory import trajectory

        k = None if intrinsics is None else torch.as_tensor(intrinsics).float()
        if refine and k is None:
            raise InputError("pose: refine=True needs the camera: give intrinsics, K, 3x3, in pixels")
        frames = [as_image(first), as_image(second)]
        if frames[0].shape != frames[1].shape:
            raise InputError(
                f"pose: the frames are {_size(frames[0])} and {_size(frames[1])}, wanted one size"
            )
        return trajectory(self, frames, None if k is None else lambda height, width: k, refine=refine)[1]

    def stream(
        self,
        intrinsics: ndarray | Tensor | None = None,
        flip: bool = False,
        steady: bool = False,
        std: bool = False,
    ) -> "Stream":
        """For the frames of a video, one after the other; a ManyDepth matches each with those before it.

        intrinsics: the 3x3 camera matrix in pixels of the frames, which a ManyDepth and `steady` need: else
        InputError. flip: as in `disparity`. steady: blend each frame's depth with that of the frames before,
        moved along the camera's motion (predict/steady.py). std: also the standard deviation of log depth
        (predict/confidence.py), to which the motion contributes where intrinsics are given."""
        if intrinsics is None and steady:
            raise InputError(
                "steady depth follows the camera's motion, for which it needs the camera: give --camera "
                "FILE.json or --fov DEGREES (in Python: stream(K, steady=True), K 3x3 in pixels)"
            )
        if intrinsics is None and self.matches:
            raise InputError(
                "this model matches the frames of a video, for which it needs the camera: give --camera "
                "FILE.json or --fov DEGREES (in Python: stream(K), K 3x3 in pixels of the frames)"
            )
        k = None if intrinsics is None else torch.as_tensor(intrinsics).float()
        if k is not None and k.shape != (3, 3):
            raise InputError(f"the camera matrix has the shape {tuple(k.shape)}, wanted 3x3, in pixels")
        from mono2many.predict.video import Stream

        return Stream(self, k, flip, steady, std)

    def disparity(self, images: UInt8[Tensor, "B 3 H W"], flip: bool = False) -> Float[Tensor, "B H W"]:
        """1 / depth of several images, on the CPU, at their own size, in the unit that `card.scale` names.

        flip: also predict the mirrored image and blend (Godard et al. 2019, supplement): twice the time."""
        return self.at_size(self.from_inputs(self.inputs(images.unbind()), flip), images.shape[-2:]).cpu()

    def inputs(
        self, images: Sequence[UInt8[Tensor, "3 _ _"]], size: tuple[int, int] | None = None
    ) -> Float[Tensor, "B 3 h w"]:
        """Images, each of its own size, as the networks want them: resized as in training, in [0, 1], on
        the model's device, without what training cut off below.

        size: of a model with several; by default the one that fits the first image (see input_size)."""
        size = size or input_size(self.card, images[0].shape[-2:])
        for shape in {image.shape[-2:] for image in images}:
            check_shape(self.card, shape, size)
        kept = (image[:, : kept_rows(image.shape[-2], self.card.crop_bottom)] for image in images)
        ready = torch.stack([resize_image(image, size, filter=self.card.resize) for image in kept])
        return (ready.to(self.device).float() / 255).contiguous(memory_format=torch.channels_last)

    def from_inputs(self, inputs: Float[Tensor, "B 3 h w"], flip: bool = False) -> Float[Tensor, "B h w"]:
        """Disparity of what `inputs` returned, at the model's size and on its device, in the unit that
        `card.scale` names."""
        return self.predict_inputs(inputs, flip)[0]

    @torch.inference_mode()
    def predict_inputs(
        self, inputs: Float[Tensor, "B 3 h w"], flip: bool = False, std: bool = False
    ) -> tuple[Float[Tensor, "B h w"], Cues | None]:
        """The same, and where `std` asks for it what the standard deviation of log depth is made of."""
        network = self.model.depth if isinstance(self.model, MonoDepth) else self.model.single
        return self.plain_and_mirrored([network, network], inputs, flip, std)

    def plain_and_mirrored(
        self, networks: Sequence[Callable[[Tensor], Tensor]], inputs: Tensor, flip: bool, std: bool
    ) -> tuple[Float[Tensor, "B h w"], Cues | None]:
        """By the first network, and where that is asked for by the second, of the mirrored images."""
        with self.autocast():
            found = plain = networks[0](inputs)
            if flip or std:
                mirrored = networks[1](inputs.flip(-1)).flip(-1)
            if flip:
                found = blend_mirrored(plain, mirrored)
        cues = single_frame_cues(plain, mirrored) if std else None
        return found.float() / self.unit, cues

    def autocast(self) -> torch.autocast:
        """Around the networks."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def camera(self, intrinsics: Float[Tensor, "*B 3 3"], size: Sequence[int]) -> Float[Tensor, "*B 3 3"]:
        """K of images of this size (height, width) in pixels of what `inputs` makes of them."""
        kept = (kept_rows(size[0], self.card.crop_bottom), size[1])
        return resize_intrinsics(intrinsics, kept, input_size(self.card, size)).to(self.device)

    def at_size(
        self, disparity: Float[Tensor, "B h w"], size: Sequence[int]
    ) -> Float[Tensor, "B {size[0]} {size[1]}"]:
        """From the model's size to that of the images (height, width), bilinearly. What training cut off
        below is continued from the last row that has a depth. InputError where a disparity is not finite and
        positive."""
        if not bool((disparity.isfinite() & (disparity > 0)).all()):
            raise InputError(
                "the model predicts depths that are not finite and positive: its weights are damaged or its "
                "training ran away; use another checkpoint or train again"
            )
        height, width = size
        rows = kept_rows(height, self.card.crop_bottom)
        if disparity.shape[-2:] != (rows, width):
            disparity = F.interpolate(disparity.unsqueeze(1), (rows, width), mode="bilinear").squeeze(1)
        return F.pad(disparity, (0, 0, 0, height - rows), mode="replicate")


def as_image(image: Image) -> UInt8[Tensor, "3 H W"]:
    """RGB, 0 to 255, of a file, a PIL image, H W 3 uint8 (NumPy) or 3 H W uint8 (torch). InputError for
    anything else."""
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image).expanduser())
    if isinstance(image, PIL.Image.Image):
        if image.mode[0] in "IF":
            raise InputError(f"an image of mode {image.mode} has more than 8 bits; give the path of its file")
        image = np.array(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, ndarray | Tensor):
        raise InputError(f"an image must be {IMAGES}, got a {type(image).__name__}")
    rgb = torch.from_numpy(image.copy()) if isinstance(image, ndarray) else image
    channels = -1 if isinstance(image, ndarray) else 0
    if rgb.dtype != torch.uint8 or rgb.dim() != 3 or rgb.shape[channels] != 3:
        found = f"{tuple(rgb.shape)} {str(rgb.dtype).removeprefix('torch.')}"
        raise InputError(
            f'an image must be RGB, 0 to 255: {IMAGES}, got {found}; with Pillow: image.convert("RGB"), of '
            "floats in [0, 1]: (255 * image).round().to(torch.uint8)"
        )
    return rgb.permute(2, 0, 1) if isinstance(image, ndarray) else rgb


def _size(image: Tensor) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"


def blend_mirrored(
    plain: Float[Tensor, "B H W"], unmirrored: Float[Tensor, "B H W"]
) -> Float[Tensor, "B H W"]:
    """Post-processing (Godard et al. 2017, sec. 3.4): the mean in the middle, at each side the prediction for
    which that side was not cut off by the image's left border."""
    x = torch.linspace(0, 1, plain.shape[-1], device=plain.device)
    left = 1 - (20 * (x - 0.05)).clamp(0, 1)
    right = left.flip(0)
    return right * plain + left * unmirrored + (1 - left - right) * (plain + unmirrored) / 2


def load(
    folder: str | Path, device: str = "auto", last: bool = False, precision: Precision = "fp32"
) -> Predictor:
    """A Predictor from a model folder, an export's, or of `starter`, which comes with the package. Of a run's
    folder it is the best model, by validation error, or the `last`. precision: bf16 is faster where the
    hardware has it (auto asks), and changes depth by some tenths of a percent. Raises InputError for a folder
    that is absent, damaged or too new."""
    path = best_of(folder, last)
    card, chosen = read_card(path), pick_device(device)
    if (notes := read_notes(path)) is not None:
        return Predictor(Exported(path, card, notes, torch.device(chosen)), card, chosen, precision)
    return Predictor(load_model(path)[0], card, chosen, precision)
