"""Depth of images, folders of images and videos: `mono2many predict`."""

import sys
from dataclasses import dataclass
from typing import Literal

import tyro

from mono2many.commands.flags import parse, value_of
from mono2many.commands.inputs import model_must_exist, must_exist
from mono2many.datasets.base import at_least
from mono2many.devices import Device, Precision
from mono2many.errors import InputError, one_line

NO_MODEL = (
    "no --model is named: this is the starter, which comes with mono2many (mono2many info starter); to adapt "
    "it: mono2many train --start-from starter --datatype video --data VIDEO --camera FILE.json"
)

DISTORTED = "lens distortion is removed first, as in training: outputs belong to the undistorted frames"


@dataclass(frozen=True)
class PredictConfig:
    """Depth of images, folders of images and videos."""

    inputs: tyro.conf.Positional[tuple[str, ...]]
    """Image files, video files, folders of either; "trips/*.mp4" works too."""
    model: str = "starter"
    """Model folder; by default the one that comes with the package."""
    last: bool = False
    """Use the last model of a run instead of the best (lowest validation error)."""
    out: str = "outputs"
    """Folder to write to."""
    save: tuple[
        Literal["npy", "png16", "colour", "video", "kitti", "ply", "glb", "std", "std-colour"], ...
    ] = ()
    """What to write. npy: depth, float32. png16: depth, 16 bit, its factor inside. colour: disparity as an
    image. video: input and disparity side by side (of a folder of images: at 25 frames/s). kitti: metres for
    KITTI's depth prediction server. ply: coloured points of an image; glb: a mesh
    (`pip install 'mono2many[three]'`; of a whole video: mono2many reconstruct). std: standard deviation of
    log depth at each pixel, float32; of videos with a known camera by motion too. std-colour: the same as an
    image, bright from 0.5. Default: the first three for images, video for videos."""
    poses: tuple[Literal["kitti", "tum"], ...] = ()
    """Write the camera trajectory of each video and folder, with a plot. kitti: 12 numbers a line. tum:
    timestamp, position, quaternion. Depth is then written only with --save."""
    refine_motion: bool = True
    """With --poses: align each relative pose with the images by the predicted depth, where the camera is
    known (--camera, --fov, or learnt in training). Without, the trajectory is known up to scale."""
    camera: str | None = None
    """Camera file, for --poses, --steady, ply, glb and a ManyDepth; lens distortion is removed."""
    fov: float | None = None
    """The same as a horizontal field of view in degrees."""
    mask: str | None = None
    """With --poses: PNG, black on what is fixed to the camera, as the ego vehicle, which is left out when
    poses are refined."""
    steady: bool = False
    """Hold the depth of a video steady: blend each frame's with that of the frames before, moved along the
    camera's motion. Needs the camera; prints how much depth flickers without and with."""
    flip: bool = False
    """Also predict the mirrored image and blend: slower, slightly better."""
    batch_size: int = 4
    """Frames of a video that are predicted together."""
    precision: Precision = "fp32"
    """Of the networks. bf16: depth changes by some tenths of a percent. auto: where it is fast."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InputError("nothing to predict: name image files, folders or videos")
        if self.camera is not None and self.fov is not None:
            raise InputError("--camera and --fov are both given; keep --camera, which knows more")
        if self.steady and self.camera is None and self.fov is None:
            raise InputError("--steady follows the camera's motion: add --camera FILE.json or --fov 65")
        if self.steady and self.poses and not self.save:
            raise InputError("--steady is for depth, which --poses writes only with --save: add --save video")
        at_least("--batch-size", self.batch_size, 1)


def run(arguments: list[str]) -> None:
    config = parse(PredictConfig, "mono2many predict", arguments)
    asked = "--refine-motion" in (word.replace("_", "-") for word in arguments)
    if asked and not config.poses:
        raise InputError("--refine-motion is for trajectories: add --poses kitti")
    if config.mask is not None and not config.poses:
        raise InputError("--mask is for trajectories: add --poses kitti")
    model_must_exist("--model", config.model)
    must_exist("", config.inputs)
    must_exist("--camera", [config.camera])
    must_exist("--mask", [config.mask])
    from mono2many.io.camera_file import read_camera
    from mono2many.predict.files import predict_files
    from mono2many.predict.inputs import camera_source
    from mono2many.predict.predictor import load
    from mono2many.predict.trajectory import knows_camera, predict_trajectories

    predictor = load(config.model, config.device, config.last, config.precision)
    if value_of(arguments, "--model") is None:
        print(NO_MODEL, file=sys.stderr)

    distorts = config.camera is not None and read_camera(config.camera).is_distorted
    if distorts:
        print(f"{config.camera}: {DISTORTED}", file=sys.stderr)

    camera = camera_source(config.camera, config.fov)
    needless = camera is not None and not distorts
    uses = {"ply", "glb", "std", "std-colour"} & {*config.save}
    if needless and not (config.poses or predictor.matches or config.steady or uses):
        flag = "--camera" if config.camera else "--fov"
        print(f"{flag} changes nothing: depth of single frames needs no camera", file=sys.stderr)
    refine = asked or (config.refine_motion and knows_camera(predictor, camera))
    what = predictor, config.inputs, config.out
    written = []
    if config.save or not config.poses:
        written += predict_files(*what, config.save, config.flip, config.batch_size, camera, config.steady)
    if config.poses:
        written += predict_trajectories(*what, config.poses, config.batch_size, camera, refine, config.mask)
    metric = predictor.card.scale == "metres"
    units = [f"depth is {unit(metric)}"] if config.save or not config.poses else []
    if config.poses:
        units.append(f"the trajectory is {unit(metric and refine)}")
    if config.poses and metric and not refine:
        known = "without --no-refine-motion" if camera else "with --camera FILE.json or --fov DEGREES"
        units.append(f"{known} it is in metres")
    files = "1 file" if len(written) == 1 else f"{len(written)} files"
    print("; ".join([f"{files} in {one_line(config.out)}", *units]))


def unit(metric: bool) -> str:
    return "in metres" if metric else "known up to scale"
