"""The camera's trajectory through a video: the relative poses that the network predicts, chained."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mono2many.files import telling_progress
from mono2many.geometry.align import refine_motion
from mono2many.geometry.pose import invert
from mono2many.geometry.pyramid import shrink_mask
from mono2many.io.camera_file import Camera
from mono2many.io.images import kept_rows
from mono2many.io.masks import read_mask, undistort_mask
from mono2many.io.trajectories import ENDINGS, PoseKind, draw_trajectories, write_poses
from mono2many.models.cameras import scale_pose_by_focal
from mono2many.models.checkpoint import input_size
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth, head_motion
from mono2many.models.pose import RelativePose
from mono2many.predict.exported import Exported
from mono2many.predict.inputs import CameraOf, Input, IntrinsicsOf, list_inputs, through_lens
from mono2many.predict.outputs import Progress, check_outputs
from mono2many.predict.predictor import Predictor
from mono2many.types import InputError

MaskOf = Callable[[int, int], Tensor]
"""From height and width of a video's frames to the pixels that move with the world."""


def knows_camera(predictor: Predictor, camera: CameraOf | IntrinsicsOf | None) -> bool:
    """Whether relative poses can be refined: the camera is given, or the model learnt it, and no other."""
    learnt = getattr(predictor.model, "cameras", None)
    return camera is not None or (learnt is not None and len(learnt.raw) == 1)


@torch.inference_mode()
def trajectory(
    predictor: Predictor,
    frames: Iterable[UInt8[Tensor, "3 _ _"]],
    intrinsics_of: IntrinsicsOf | None = None,
    batch_size: int = 4,
    refine: bool = False,
    mask_of: MaskOf | None = None,
) -> Float[Tensor, "N 4 4"]:
    """world_from_camera of each frame, in float64; the world is the first camera's.

    refine: align each relative pose with the images by the predicted depth: then translations have depth's
    unit, which `card.scale` names; a pose network shares it on footage like its training's only.
    intrinsics_of: needed to refine, and of a model that learnt its cameras (else the first of these is
    taken). mask_of: False on what is fixed to the camera, such as the ego vehicle: it would say that nothing
    moved, and is left out when poses are refined. InputError for a model without a pose network, for fewer
    than two frames, and to refine without a camera."""
    if refine and not knows_camera(predictor, intrinsics_of):
        raise InputError("--refine-motion needs the camera: add --camera FILE.json or --fov 65")
    model = predictor.model.as_mono() if isinstance(predictor.model, ManyDepth) else predictor.model
    poses, held, k = [torch.eye(4, dtype=torch.float64)], list[Tensor](), torch.eye(3)[None]

    used: Tensor | None = None

    def add_steps() -> None:
        for step in relative_poses(model, torch.cat(held), k, refine, used):
            step[:3, 3] *= predictor.unit
            poses.append(poses[-1] @ step)

    inner: tuple[int, int] | None = None
    for frame in frames:
        size = (frame.shape[1], frame.shape[2])
        inner = inner or input_size(predictor.card, size)  # one for all of them
        image = predictor.inputs([frame], inner)
        if not held:
            held.append(torch.zeros_like(image))  # before the first there is none
            if mask_of is not None:
                rows = mask_of(*size)[: kept_rows(size[0], predictor.card.crop_bottom)]
                used = shrink_mask(rows, inner).to(image.device)
            if intrinsics_of is not None and (refine or model.cameras is not None):
                k = predictor.camera(intrinsics_of(*size)[None], size)
            elif model.cameras is not None:
                first = torch.zeros(1, dtype=torch.int64, device=image.device)
                k = model.cameras(first, *inner)
        held.append(image)
        if len(held) == batch_size + 2:
            add_steps()
            held = held[-2:]
    if len(held) > 2:
        add_steps()
    if len(poses) < 2:
        raise InputError("a trajectory needs two frames or more: name a video or a folder of images")
    return torch.stack(poses)


def relative_poses(
    model: MonoDepth | Exported,
    images: Float[Tensor, "N 3 H W"],
    k: Float[Tensor, "1 3 3"],
    refine: bool = False,
    used: Bool[Tensor, "H W"] | None = None,
) -> Float[Tensor, "{images.shape[0]-2} 4 4"]:
    """earlier_from_later of each image but the first and the next. used: pixels by which they are refined."""
    a, target, sources, offsets = model.architecture, images[1:-1], images[2:, None], (1,)
    if a.pose_input == "all":
        sources, offsets = torch.stack([images[:-2], images[2:]], 1), (-1, 1)  # type: ignore[assignment]
    sigmoid = target.new_zeros(len(target), 1, 1)
    if a.pose_type in ("shared", "posecnn"):  # which depend on the depth network
        sigmoids, motion, _ = model(target, sources, offsets)
        sigmoid = sigmoids[0].squeeze(1)
    else:
        motion = model.pose(target, sources, offsets)
    k = k.expand(len(target), 3, 3)
    axis_angle, translation = scale_pose_by_focal(model, motion, k, images.shape[-1])
    exact = RelativePose(axis_angle.cpu().double(), translation.cpu().double())
    later_from_earlier = head_motion(a, exact, offsets, sigmoid.cpu())[:, -1]
    if refine:
        given = later_from_earlier.to(target)
        depth, mask = 1 / model.depth(target), None if used is None else used.expand(len(target), -1, -1)
        found = refine_motion(given, target, images[2:], depth, k.to(target), valid_mask=mask)
        later_from_earlier = found.cpu().double()
    return invert(later_from_earlier)


def predict_trajectories(
    predictor: Predictor,
    inputs: Sequence[str],
    out: str | Path,
    kinds: Sequence[PoseKind],
    batch_size: int = 4,
    camera_of: CameraOf | None = None,
    refine: bool = False,
    mask: str | None = None,
) -> list[Path]:
    """OUT/NAME_poses.txt (kitti) or .tum of every video and folder, `_metres` in the name where that is the
    unit (of a refined trajectory only), and a plot OUT/NAME_trajectory.png; returns the files written. TUM's
    timestamp of a folder's image is its place in the folder. mask: a PNG, as of
    `io.masks.read_mask`. Raises InputError, also where a folder's images do not follow each other."""
    metric = refine and predictor.card.scale == "metres"
    progress, found = Progress(Path(out)), list_inputs(inputs)
    for one in found:
        if len(one.runs) > 1:
            raise InputError(
                f"{one.path}: files of other kinds lie between its images, so that they are no trajectory; "
                "convert them to JPEG or PNG, or move the images of each part to a folder of their own"
            )
    kinds = tuple(dict.fromkeys(kinds))
    files = [pose_files(one, Path(out), kinds, metric) for one in found]
    check_outputs(
        found, ((one.path, path) for one, paths in zip(found, files, strict=True) for path in paths)
    )
    with telling_progress(progress.__str__):
        for one, (plot, *paths) in zip(found, files, strict=True):
            times = list[float]()
            frames = noting_times(times, progress.counting(one.path.name, one.frames().frames))
            images, intrinsics_of = through_lens(frames, camera_of, one.display())
            mask_of = (
                None if mask is None else partial(video_mask, mask, camera_of and camera_of(one.display()))
            )
            poses = trajectory(predictor, images, intrinsics_of, batch_size, refine, mask_of)
            for kind, path in zip(kinds, paths, strict=True):
                write_poses(path, poses, kind, times)
                progress.written.append(path)
            draw_trajectories(plot, {one.name: {"predicted": poses}}, "m" if metric else "up to scale")
            progress.written.append(plot)
    return progress.written


def pose_files(one: Input, out: Path, kinds: Sequence[PoseKind], metric: bool) -> list[Path]:
    """The plot, and a file of poses of each kind."""
    poses = f"{one.name}_poses{'_metres' if metric else ''}"
    return [out / f"{one.name}_trajectory.png", *(out / f"{poses}{ENDINGS[kind]}" for kind in kinds)]


def video_mask(
    path: str, camera: Callable[[int, int], Camera] | None, height: int, width: int
) -> Bool[Tensor, "{height} {width}"]:
    """Of frames of this size, as their lens distortion is removed."""
    mask = read_mask(Path(path), (height, width), "give another PNG with --mask")
    return mask if camera is None else undistort_mask(mask, camera(height, width))


def noting_times(times: list[float], frames: Iterable[tuple[float, Tensor]]) -> Iterator[Tensor]:
    """The images; each one's time goes into `times`."""
    for time, image in frames:
        times.append(time)
        yield image
