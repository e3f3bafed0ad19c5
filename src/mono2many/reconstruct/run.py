"""The command `reconstruct`: through a video twice, for the trajectory and for depth along it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from mono2many.data.measure import (
    THRESHOLDS,
    grey_and_sharpness,
    quick_agreement,
    quick_displacement,
    thumbnail,
)
from mono2many.data.static_mask import Spread, hidden_in_words, static_mask
from mono2many.errors import InputError, library, warn
from mono2many.files import telling_progress
from mono2many.geometry.pose import invert, rotation_angle
from mono2many.geometry.pyramid import shrink_mask
from mono2many.io.images import kept_rows, resize_image
from mono2many.io.surfaces import write_glb, write_ply
from mono2many.io.trajectories import ENDINGS, write_poses
from mono2many.io.videos import VideoWriter
from mono2many.models.checkpoint import input_size
from mono2many.predict.files import IMAGE_RATE, SteadyColours
from mono2many.predict.inputs import CameraOf, Input, IntrinsicsOf, list_inputs, through_lens
from mono2many.predict.outputs import Progress, check_outputs
from mono2many.predict.predictor import Predictor
from mono2many.predict.trajectory import noting_times, trajectory, video_mask
from mono2many.reconstruct.fuse import PosedView, SignedDistance, VoxelAverage, agreeing
from mono2many.reconstruct.page import Reconstruction, write_page
from mono2many.reconstruct.recording import Recording
from mono2many.terminal import command

Kind = Literal["ply", "glb", "rrd", "html"]
LIBRARIES = {"ply": ("trimesh", "three"), "glb": ("trimesh", "three"), "rrd": ("rerun", "rerun")}
"""And extras; the others need none."""
FAR = 3.0
"""Distance up to which points are fused, as a multiple of the scene's depth: 1 / mean disparity of the first
frame. Beyond, depth is least certain, and sky begins."""
FINEST = 150
"""Cells up to that distance."""
LONG = 32
"""Path, in such distances, from which on cells grow, so that about as many fit into memory."""
STEP, TURN = 0.05, 0.035
"""From one fused frame to the next: share of the scene's depth, or radians."""
FEW = 0.15
"""Share of the near pixels that agree, below which something is wrong."""
LOOKED_AT = 400
"""Frames in which what is fixed to the camera is looked for."""
FILM_WIDTH, FILM_QUALITY = 480, {"maxrate": "1000000", "bufsize": "2000000"}
"""Pixels of the page's film, and bits a second at most."""


class Walk(NamedTuple):
    """What the first pass through a video finds."""

    world_from_camera: Float[Tensor, "N 4 4"]
    times: list[float]
    moved: list[bool]
    """False of a frame that shows what the last one that moved showed: the camera was static."""


def reconstruct(
    predictor: Predictor,
    video: str,
    out: str | Path,
    save: Sequence[Kind] = ("ply", "glb"),
    camera_of: CameraOf | None = None,
    mask: str | None = None,
) -> tuple[Reconstruction, list[Path]]:
    """Fuses a video, or a folder of images that follow each other, and writes OUT/NAME_poses.txt, .tum and
    what `save` names; returns it with the files written.

    Depth, and all coordinates, have the unit that the model's `card.scale` names. Left out are points that
    other views disagree with (what moves), those far away, and what `mask`, a PNG, hides, or
    without it what is found to be fixed to the camera. With Open3D a mesh, else points averaged in cubes.
    Memory does not grow with the length of the video but for the surface.
    InputError for single images, a static camera, and where a library is missing."""
    one = _one_video(video)
    metric = predictor.card.scale == "metres"
    files = output_files(one.name, Path(out), save, metric)
    check_outputs([one], ((one.path, path) for path in files.values()))
    for kind in save:
        if kind in LIBRARIES:
            library(*LIBRARIES[kind])
    progress, film = Progress(Path(out)), None
    with telling_progress(progress.__str__), TemporaryDirectory() as folder:
        footage = Footage(predictor, one, progress, camera_of, mask)
        footage = footage if mask else footage._replace(fixed=_fixed_to_camera(footage))
        walk = _walk(footage)
        for pose_kind in ENDINGS:
            write_poses(files[pose_kind], walk.world_from_camera, pose_kind, walk.times)
            progress.written.append(files[pose_kind])
        if "html" in save:
            rate, uneven = IMAGE_RATE if one.images else one.frames().fps, one.frames().uneven_times
            film = VideoWriter(Path(folder) / "film.mp4", rate, uneven, **FILM_QUALITY)
        recording = Recording(files["rrd"], one.name) if "rrd" in save else None
        with film or nullcontext(), recording or nullcontext():
            found = _fuse(footage, walk, film, recording)
            if recording is not None:
                recording.add_surface(found.surface)
        centres = found.world_from_camera[:, :3, 3]
        if "ply" in save:
            write_ply(files["ply"], found.surface, centres)
        if "glb" in save:
            write_glb(files["glb"], found.surface, centres)
        if film is not None:
            write_page(files["html"], found, film.path.read_bytes())
        progress.written += [files[kind] for kind in save]
    return found, progress.written


class Footage(NamedTuple):
    """A video and how it is to be seen."""

    predictor: Predictor
    video: Input
    progress: Progress
    camera_of: CameraOf | None
    mask: str | None
    fixed: Bool[Tensor, "h w"] | None = None
    """False on what is fixed to the camera; used where no mask is given."""

    def frames(self, times: list[float] | None = None) -> tuple[Iterator[Tensor], IntrinsicsOf]:
        """Without lens distortion, and their K. times: to which each frame's is added."""
        timed = self.progress.counting(self.video.path.name, self.video.frames().frames)
        images = noting_times([] if times is None else times, timed)
        images, intrinsics_of = through_lens(images, self.camera_of, self.video.display())
        return images, intrinsics_of or self.predictor.usual_intrinsics

    def used(self, height: int, width: int) -> Bool[Tensor, "{height} {width}"]:
        """Pixels of frames of this size that are not masked."""
        if self.mask is None:
            found = torch.ones(1, 1, dtype=torch.bool) if self.fixed is None else self.fixed
            return F.interpolate(found[None, None].float(), (height, width))[0, 0] > 0
        camera = None if self.camera_of is None else self.camera_of(self.video.display())
        return video_mask(self.mask, camera, height, width)


def output_files(name: str, out: Path, save: Sequence[Kind], metric: bool) -> dict[str, Path]:
    """By kind; `_metres` in the names of those that have a unit, where that is it."""
    unit = "_metres" if metric else ""
    every = {kind: f"{name}_poses{unit}{ending}" for kind, ending in ENDINGS.items()}
    ends = {"ply": f"_cloud{unit}.ply", "glb": f"_mesh{unit}.glb", "rrd": ".rrd", "html": "_scene.html"}
    return {kind: out / end for kind, end in (every | {kind: name + ends[kind] for kind in save}).items()}


def _one_video(name: str) -> Input:
    found = list_inputs([name])
    one = found[0]
    if len(found) > 1 or len(one.runs) > 1:
        raise InputError(f"{name}: wanted one video, or a folder of images that follow each other")
    if len(one.images) == 1:
        raise InputError(
            f"{name}: a single image; wanted a video. Its own points: "
            + command("predict", one.path, "--save", "ply", "glb")
        )
    return one


def _fixed_to_camera(footage: Footage) -> Bool[Tensor, "h w"] | None:
    """False on the ego vehicle, texts and black bars; None where nothing is found. A notice says what was."""
    spread, latest = Spread(), None
    for image in islice(footage.frames()[0], LOOKED_AT):
        now = thumbnail(image[None].float() / 255)
        if latest is None or quick_displacement(latest, now) >= THRESHOLDS.static:
            spread.add(grey_and_sharpness(image)[0])
            latest = now
    usable = static_mask(torch.cat(spread.frames))
    if usable.all():
        return None
    where = hidden_in_words(usable)
    warn(f"{footage.video.path}: left out, since fixed to the camera: {where}; --mask FILE replaces this")
    return usable


def _walk(footage: Footage) -> Walk:
    """InputError where the camera is static throughout."""
    times, moved = list[float](), list[bool]()
    images, intrinsics_of = footage.frames(times)
    watched = _until_cut(images, moved, footage.video.path)
    mask_of = None if footage.mask is None and footage.fixed is None else footage.used
    poses = trajectory(footage.predictor, watched, intrinsics_of, refine=True, mask_of=mask_of)
    if not any(moved[1:]):
        raise InputError(
            f"{footage.video.path}: the camera is static in all {len(poses)} frames; wanted one that moves"
        )
    return Walk(poses, times[: len(poses)], moved)


def _until_cut(images: Iterable[Tensor], moved: list[bool], path: Path) -> Iterator[Tensor]:
    """The images before the first cut, of which a warning tells. moved: to which is added whether an image
    shows anything new since the last that did."""
    latest = new = None
    for number, image in enumerate(images):
        now = thumbnail(image[None].float() / 255)
        if latest is None or new is None:
            moved.append(True)
        elif quick_agreement(latest, now) < THRESHOLDS.quick_same_scene:
            warn(f"{path}: cut at frame {number}: only what comes before is reconstructed; the rest apart")
            return
        else:
            moved.append(quick_displacement(new, now) >= THRESHOLDS.static)
        latest, new = now, now if moved[-1] else new
        yield image


def _fuse(
    footage: Footage, walk: Walk, film: VideoWriter | None, recording: Recording | None
) -> Reconstruction:
    """The second pass."""
    images, intrinsics_of = footage.frames()
    first = next(images)
    size = first.shape[1], first.shape[2]
    k = intrinsics_of(*size)
    depth = 1 / float(footage.predictor.disparity(first[None]).mean())
    far = FAR * depth
    path = float(walk.world_from_camera[:, :3, 3].diff(dim=0).norm(dim=1).sum())
    cell = far / FINEST * max(1.0, (path / far / LONG) ** 0.5)
    fusion = _fusion(cell)
    views = _views(footage, walk, chain([first], images), k, STEP * depth, film)
    near = kept = 0
    for view in agreeing(views, far):
        fusion.add(view)
        near, kept = near + int((view.depth < far).sum()), kept + int(view.used.sum())
        if recording is not None:
            recording.add(view)
    surface = fusion.surface()
    if not len(surface.points):
        raise InputError(
            f"{footage.video.path}: no depth agrees between views: the camera is wrong, or the model "
            f"does not fit this footage: {command('learn', footage.video.path)}"
        )
    if kept < FEW * near:
        warn(
            f"{footage.video.path}: only {kept / near:.0%} of what is near agrees between views; hide the "
            "ego vehicle with --mask, give the right --camera, or fit a model: mono2many learn"
        )
    half = size[1] / 2 / float(k[0, 0]), size[0] / 2 / float(k[1, 1])
    metric = footage.predictor.card.scale == "metres"
    times = [time / IMAGE_RATE for time in walk.times] if footage.video.images else walk.times
    return Reconstruction(footage.video.name, surface, cell, walk.world_from_camera, times, half, metric)


def _fusion(cell: float) -> SignedDistance | VoxelAverage:
    """Open3D's where it is installed and works."""
    try:
        return SignedDistance(cell)
    except InputError as error:
        warn(f"points are averaged, without a mesh: {error}")
        return VoxelAverage(cell)


def _views(
    footage: Footage,
    walk: Walk,
    images: Iterable[UInt8[Tensor, "3 H W"]],
    intrinsics: Float[Tensor, "3 3"],
    step: float,
    film: VideoWriter | None,
) -> Iterator[PosedView]:
    """Frames at the networks' size, each STEP or TURN from the last one; every frame goes into the film."""
    predictor, colours = footage.predictor, SteadyColours()
    stream, used, latest = predictor.stream(intrinsics), None, None
    for image, pose, moved in zip(images, walk.world_from_camera, walk.moved, strict=False):
        motion = pose if latest is None else invert(latest) @ pose
        far_enough = float(motion[:3, 3].norm()) >= step or float(rotation_angle(motion[:3, :3])) >= TURN
        keep = latest is None or (moved and far_enough)
        if not keep and film is None and not predictor.matches:
            continue
        disparity = stream.at_model_size(image)[0].cpu()
        size = (image.shape[1], image.shape[2])
        rows, inner = kept_rows(size[0], predictor.card.crop_bottom), input_size(predictor.card, size)
        if film is not None:
            narrow = round(FILM_WIDTH * rows / size[1]) // 2 * 2, FILM_WIDTH
            shown = colours(F.interpolate(disparity[None, None], narrow, mode="bilinear")[0, 0])
            film.write(torch.cat([resize_image(image[:, :rows], narrow), shown], 1))
        if keep:
            used = shrink_mask(footage.used(*size)[:rows], inner) if used is None else used
            k = predictor.camera(intrinsics, size).cpu()
            yield PosedView(resize_image(image[:, :rows], inner), 1 / disparity, k, pose, used)
            latest = pose
