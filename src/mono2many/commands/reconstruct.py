"""Points, mesh and trajectory of a whole video: `mono2many reconstruct`."""

import time
from dataclasses import dataclass
from typing import Literal

import tyro

from mono2many.commands.flags import parse
from mono2many.commands.inputs import model_must_exist, must_exist
from mono2many.commands.predict import unit
from mono2many.devices import Device, Precision
from mono2many.errors import InputError, library, one_line
from mono2many.terminal import command


@dataclass(frozen=True)
class ReconstructConfig:
    """Points, mesh and trajectory of the static scene that a video shows, by depth along the trajectory."""

    video: tyro.conf.Positional[str]
    """Video file, or folder of images that follow each other."""
    model: str = "starter"
    """Model folder; by default the one that comes with the package."""
    last: bool = False
    """Use the last model of a run instead of the best (lowest validation error)."""
    camera: str | None = None
    """Camera file; lens distortion is removed. Default: what the model learnt, else a phone's."""
    fov: float | None = None
    """The same as a horizontal field of view in degrees."""
    out: str = "outputs"
    """Folder to write to."""
    mask: str | None = None
    """PNG, black on what is fixed to the camera, as the ego vehicle, to be left out. Default: what is
    found."""
    save: tuple[Literal["ply", "glb", "rrd", "html"], ...] = ("ply", "glb")
    """What to write beside the trajectory. ply: coloured points. glb: a mesh with Open3D (`pip install
    'mono2many[fusion]'`), else points. rrd: for Rerun. html: one file with film, trajectory and points."""
    view: bool = False
    """Show it at the end, by viser, to browsers on this machine, until Ctrl-C."""
    precision: Precision = "fp32"
    """Of the networks. bf16: depth changes by some tenths of a percent. auto: where it is fast."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        if self.camera is not None and self.fov is not None:
            raise InputError("--camera and --fov are both given; keep --camera, which knows more")


def run(arguments: list[str]) -> None:
    config = parse(ReconstructConfig, "mono2many reconstruct", arguments)
    model_must_exist("--model", config.model)
    must_exist("", [config.video])
    must_exist("--camera", [config.camera])
    must_exist("--mask", [config.mask])
    if config.view:
        library("viser", "three")
    from mono2many.predict.inputs import camera_source
    from mono2many.predict.predictor import load
    from mono2many.reconstruct.recording import LOOPBACK, PORT, serve
    from mono2many.reconstruct.run import reconstruct

    predictor = load(config.model, config.device, config.last, config.precision)
    camera = camera_source(config.camera, config.fov)
    found, written = reconstruct(predictor, config.video, config.out, config.save, camera, config.mask)
    points, triangles = len(found.surface.points), len(found.surface.triangles)
    shape = f"a mesh of {triangles} triangles" if triangles else f"{points} points"
    units = f"depth and trajectory are {unit(found.metric)}"
    print(f"{len(written)} files in {one_line(config.out)}: {shape}; {units}")
    if not found.metric:
        known = command("scale", "--model", config.model, "--scale-from", "speed", "FILE")
        print(f"for metres: {known} (or camera-height METRES), then the same again")
    if config.view:
        server = serve(found)
        print(f"http://{LOOPBACK}:{PORT}, until Ctrl-C")
        while server is not None:
            time.sleep(1)
