"""mono2many: self-supervised depth and camera motion from ordinary video.

from mono2many import load
depth = load("model_save/street")(image)        # H W 3 uint8 -> DepthMap
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mono2many.predict.predictor import Predictor, load

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import torch only when a model is wanted: `mono2many --help` does without."""
    if name in ("load", "Predictor"):
        from mono2many.predict import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module 'mono2many' has no attribute {name!r}")
