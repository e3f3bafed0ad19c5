"""One image in, depth out: the model with its own sizes, units and device."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from mono2many.models.checkpoint import ModelCard, load_model
from mono2many.models.mono import MonoDepth
from mono2many.types import DepthMap, InputError


class Predictor:
    """A trained model, ready for pictures of any size. `.model` is the nn.Module, `.card` what is known."""

    def __init__(self, model: MonoDepth, card: ModelCard, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.model = model.eval().to(self.device).to(memory_format=torch.channels_last)
        self.card = card
        self.unit = card.factor if card.scale == "metres" else 1.0
        """What the network's depth is multiplied by: here, and nowhere else."""

    def __call__(self, image: ndarray | Tensor) -> DepthMap:
        """Depth of one RGB image at its own size: H W 3 uint8 (NumPy) or 3 H W uint8 (torch), 0 to 255.

        Raises InputError for anything else.
        """
        picture = torch.from_numpy(image.copy()) if isinstance(image, ndarray) else image
        channels = -1 if isinstance(image, ndarray) else 0
        if picture.dtype != torch.uint8 or picture.dim() != 3 or picture.shape[channels] != 3:
            found = f"{tuple(picture.shape)} {str(picture.dtype).removeprefix('torch.')}"
            raise InputError(
                f"an image must be RGB, 0 to 255: H W 3 uint8 (NumPy) or 3 H W uint8 (torch), got {found}; "
                'with Pillow: image.convert("RGB")'
            )
        picture = picture.permute(2, 0, 1) if isinstance(image, ndarray) else picture
        disparity = self.disparity(picture.unsqueeze(0))[0]
        return DepthMap(1 / disparity, disparity, self.card.scale)

    @torch.inference_mode()
    def disparity(
        self, images: UInt8[Tensor, "B 3 H W"], flip: bool = False, own_size: bool = True
    ) -> Float[Tensor, "B H W"]:
        """1 / depth of several images, on the CPU, at the images' own size (or the model's), in the unit that
        `card.scale` names.

        flip: also predict the mirrored image and blend (Godard et al. 2019, supplement): twice the time.
        """
        size = (self.card.height, self.card.width)
        height, width = images.shape[-2:]
        rows = max(1, round(height * (1 - self.card.crop_bottom)))
        inputs = images[..., :rows, :].to(self.device).float()
        if inputs.shape[-2:] != size:
            inputs = F.interpolate(inputs, size, mode="bilinear", align_corners=False, antialias=True)
        inputs = (inputs / 255).contiguous(memory_format=torch.channels_last)
        result = self.model.depth(inputs)
        if flip:
            result = blend_mirrored(result, self.model.depth(inputs.flip(-1)).flip(-1))
        if own_size:
            if result.shape[-2:] != (rows, width):
                result = F.interpolate(result.unsqueeze(1), (rows, width), mode="bilinear").squeeze(1)
            # what training cut off below is continued from the last row that has a depth
            result = F.pad(result, (0, 0, 0, height - rows), mode="replicate")
        return (result.float() / self.unit).cpu()


def blend_mirrored(
    plain: Float[Tensor, "B H W"], unmirrored: Float[Tensor, "B H W"]
) -> Float[Tensor, "B H W"]:
    """Post-processing (Godard et al. 2017, sec. 3.4): the mean in the middle, at each side the prediction for
    which that side was not cut off by the picture's left border."""
    x = torch.linspace(0, 1, plain.shape[-1], device=plain.device)
    left = 1 - (20 * (x - 0.05)).clamp(0, 1)
    right = left.flip(0)
    return right * plain + left * unmirrored + (1 - left - right) * (plain + unmirrored) / 2


def load(folder: str | Path, device: str = "auto") -> Predictor:
    """A Predictor from a model folder. Raises InputError for a folder that is absent, damaged or too new."""
    model, card = load_model(folder)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    return Predictor(model, card, device)
