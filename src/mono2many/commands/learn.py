"""Fit a model to your own videos with one command: `mono2many learn`."""

from dataclasses import dataclass, fields

import tyro

from mono2many.commands.flags import parse
from mono2many.commands.inputs import model_must_exist, must_exist
from mono2many.devices import Device
from mono2many.errors import InputError
from mono2many.learn.decisions import Wishes


@dataclass(frozen=True)
class LearnConfig:
    """Fit a model to your own videos: measure them, choose the settings, train, score on held-out frames,
    write depth video, trajectory and report. The same command continues after an interruption."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Video files or folders of images; "trips/*.mp4" works too."""
    out: str | None = None
    """Folder for everything that is written; default: learnt/VIDEO."""
    minutes: float = 30.0
    """Time for all of it, about; decides the number of training steps."""
    camera: tuple[str, ...] = ()
    """Camera file, one for all videos or one each; default: the focal length is estimated in training."""
    fov: float | None = None
    """Horizontal field of view in degrees, where there is no camera file."""
    mask: tuple[str, ...] = ()
    """PNG, black on what is fixed to the camera, one for all videos or one each; `none`: use all pixels.
    Default: what is found."""
    height: int | None = None
    """Training height, a multiple of 32; default: by the shape of the videos."""
    width: int | None = None
    """Training width, a multiple of 32."""
    frame_step: int | None = None
    """Frames between neighbours; default: by how far the image moves."""
    steps: int | None = None
    """Training steps; default: by --minutes."""
    start_from: str = "starter"
    """Model folder to start from, `starter`, or `none`: random weights."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("nothing to learn from: name video files or folders of images")
        if not 0 < self.minutes < 100_000:  # also catches NaN
            raise InputError(f"--minutes must be above 0 and below 100000, got {self.minutes:g}; try 30")
        if self.camera and self.fov is not None:
            raise InputError("--camera and --fov are both given; keep --camera, which is more exact")
        if (self.height is None) != (self.width is None):
            raise InputError("--height and --width belong together: give both, or neither")
        for flag, value in (("--frame-step", self.frame_step), ("--steps", self.steps)):
            if value is not None and value < 1:
                raise InputError(f"{flag} must be at least 1, got {value}")


def run(arguments: list[str]) -> None:
    config = parse(LearnConfig, "mono2many learn", arguments)
    must_exist("", config.inputs)
    must_exist("--camera", config.camera)
    must_exist("--mask", [name for name in config.mask if name != "none"])
    if config.start_from != "none":
        model_must_exist("--start-from", config.start_from, weights=True)
    from mono2many.learn.run import learn

    wishes = Wishes(**{f.name: getattr(config, f.name) for f in fields(Wishes)})
    learn(config.inputs, config.out, config.minutes, wishes, config.device)
