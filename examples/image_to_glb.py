"""An image as a mesh that Blender, a browser or a phone turns.

    python examples/image_to_glb.py photo.jpg photo.glb --fov 65

The GLB has metres where the model knows its unit, else the model's own. Requires the extra `three`.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from mono2many import load
from mono2many.io.camera_file import camera_for
from mono2many.io.images import image_display, read_image


@dataclass(frozen=True)
class Settings:
    image: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    model: str = "starter"
    camera: str | None = None
    """Camera file of the image."""
    fov: float = 65.0
    """Without one: the horizontal field of view in degrees. A wrong one stretches the scene in depth."""


def main(s: Settings) -> None:
    image = read_image(s.image)
    height, width = image.shape[1:]
    fov = None if s.camera else s.fov
    camera = camera_for(s.camera, fov, (height, width), str(s.image), image_display(s.image))
    prediction = load(s.model)(image)
    prediction.save(s.out, intrinsics=camera.intrinsics)
    print(f"{s.out}: {s.out.stat().st_size / 1e6:.1f} MB, in {prediction.scale}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
