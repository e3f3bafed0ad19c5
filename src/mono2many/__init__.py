"""mono2many: self-supervised depth and camera motion from ordinary video.

from mono2many import load
load("model_save/street")("photo.jpg").save("depth.npy")        # a path or an image -> DepthMap
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mono2many import train as train
    from mono2many.datasets import register
    from mono2many.errors import InputError
    from mono2many.predict.depth_map import DepthMap
    from mono2many.predict.predictor import Predictor, load
    from mono2many.train import recipes
    from mono2many.train.recipes import recipe
    from mono2many.train.settings import TrainConfig

__version__ = "0.1.0"
__all__ = [
    "DepthMap",
    "InputError",
    "Predictor",
    "TrainConfig",
    "__version__",
    "load",
    "recipe",
    "recipes",
    "register",
    "train",
]
_PLACES = {
    "DepthMap": "mono2many.predict.depth_map",
    "InputError": "mono2many.errors",
    "Predictor": "mono2many.predict.predictor",
    "TrainConfig": "mono2many.train.settings",
    "load": "mono2many.predict.predictor",
    "recipe": "mono2many.train.recipes",
    "register": "mono2many.datasets",
}
_MODULES = {"recipes": "mono2many.train.recipes", "train": "mono2many.train"}


def __getattr__(name: str) -> Any:
    """Imported when first asked for: `mono2many --help` does without PyTorch."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'mono2many' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
