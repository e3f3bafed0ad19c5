"""Training. The package itself can be called: `mono2many.train(config)` is `mono2many.train.loop.train`."""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mono2many.train.settings import TrainConfig


class _Package(ModuleType):
    def __call__(self, config: "TrainConfig") -> Path:
        """Train as configured; returns the run's folder OUT/NAME, which is a model folder. Raises InputError
        for settings or data that do not fit."""
        from mono2many.train.loop import train

        return train(config)


sys.modules[__name__].__class__ = _Package
