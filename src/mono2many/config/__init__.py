"""The settings: frozen dataclasses, checked when made. Read by train, evaluate and cli only.

Every field is a flag of `mono2many train` (`--pose-type` or `--pose_type`). Imports nothing heavy:
`--help` answers at once.
"""

from mono2many.config.source import DataConfig, Datatype, SourceConfig, at_least
from mono2many.config.training import (
    LossConfig,
    ManyConfig,
    ModelConfig,
    OptimConfig,
    Recipe,
    RunConfig,
    TrainConfig,
)

__all__ = [
    "DataConfig",
    "Datatype",
    "LossConfig",
    "ManyConfig",
    "ModelConfig",
    "OptimConfig",
    "Recipe",
    "RunConfig",
    "SourceConfig",
    "TrainConfig",
    "at_least",
]
