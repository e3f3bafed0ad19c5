"""Published weights as a model folder: `mono2many import-weights`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from mono2many.commands.flags import parse
from mono2many.commands.inputs import must_exist
from mono2many.errors import one_line


@dataclass(frozen=True)
class ImportWeightsConfig:
    """Make a model folder of published MonoDepth or ManyDepth weights."""

    folder: tyro.conf.Positional[str]
    """Folder with encoder.pth, depth.pth and, where there are any, pose_encoder.pth and pose.pth."""
    out: str
    """Model folder to write."""


def run(arguments: list[str]) -> None:
    config = parse(ImportWeightsConfig, "mono2many import-weights", arguments)
    must_exist("", [config.folder], "wanted a folder with encoder.pth and depth.pth")
    from mono2many.models.published import import_weights

    card = import_weights(Path(config.folder), Path(config.out))
    out, size = one_line(config.out), f"{card.width}x{card.height}"
    print(f"{out}: {card.architecture.encoder}, {size}, depth {card.scale}")
