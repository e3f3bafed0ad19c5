"""How fast PNGs become JPEGs, against ImageMagick's `convert` run by GNU parallel on as many cores.

Works on copies in a temporary folder. Needs Debian's packages imagemagick and parallel.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro
from PIL import Image

from mono2many.datasets.kitti.jpeg import convert_pngs

IMAGEMAGICK = ("/usr/bin/convert", "/usr/bin/convert-im6.q16", "/usr/bin/magick")


@dataclass(frozen=True)
class Settings:
    folder: tyro.conf.Positional[Path]
    copies: int = 40  # of each picture
    workers: int = 2
    rounds: int = 2  # the best of them counts, for both


def main(s: Settings) -> None:
    program = next(path for path in IMAGEMAGICK if Path(path).exists())
    line = f"{program} -quality 92 -sampling-factor 2x2,1x1,1x1 {{.}}.png {{.}}.jpg && rm {{}}"
    ways: dict[str, Callable[[Path], object]] = {
        "mono2many": lambda folder: convert_pngs([folder], s.workers),
        "convert": lambda folder: subprocess.run(
            ["parallel", f"-j{s.workers}", line, ":::", *map(str, folder.glob("*.png"))], check=True
        ),
    }
    speed = dict.fromkeys(ways, 0.0)
    with tempfile.TemporaryDirectory() as temporary:
        for _ in range(s.rounds):
            for name, way in ways.items():
                folder = Path(temporary) / name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                for i, path in enumerate(sorted(s.folder.glob("*.png")) * s.copies):
                    shutil.copy(path, folder / f"{i}.png")
                start = time.perf_counter()
                way(folder)
                speed[name] = max(speed[name], len(list(folder.iterdir())) / (time.perf_counter() - start))
        for ours in (Path(temporary) / "mono2many").iterdir():
            with Image.open(ours) as one, Image.open(Path(temporary) / "convert" / ours.name) as other:
                assert (one.quantization, one.layer) == (other.quantization, other.layer), ours
    for name, value in speed.items():
        print(f"{name:10} {value:7.1f} images/s")
    print(f"{speed['mono2many'] / speed['convert']:.2f} times as fast; tables and sampling are equal")


if __name__ == "__main__":
    main(tyro.cli(Settings))
