"""What `predict` reads: images, folders of images, videos; and the names that their outputs begin with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from mono2many.geometry.camera import Display
from mono2many.io.camera_file import Camera, camera_for
from mono2many.io.containers import open_video
from mono2many.io.images import image_display, image_folder, image_size, read_image, warn_of_few_levels
from mono2many.io.inputs import IMAGE_SUFFIXES, OTHER_IMAGES, VIDEO_SUFFIXES, expand, name_of
from mono2many.io.undistort import Undistortion
from mono2many.io.videos import probe_video, timed_frames, video_display
from mono2many.terminal import text_console, track
from mono2many.types import InputError

CameraOf = Callable[[Display], Callable[[int, int], Camera]]
"""For each input, by how its frames are shown: from their height and width to their camera."""
IntrinsicsOf = Callable[[int, int], Tensor]
"""From height and width of a video's frames to K in their pixels."""


class TimedFrames(NamedTuple):
    """The frames of an input."""

    frames: Iterator[tuple[float, Tensor]]
    """Each with its time in seconds since the first (of images: their place in the folder)."""
    fps: float
    uneven_times: tuple[float, ...] = ()
    """Of all frames, where `fps` does not give them."""


class Input(NamedTuple):
    """An image, a folder of images, or a video."""

    name: str
    path: Path
    images: list[Path]
    """Of a folder, or the image itself; empty: it is a video."""
    runs: Sequence[range] = (range(1),)
    """Of the images, those that follow each other."""
    places: Sequence[int] = (0,)
    """Of each image, in the folder."""

    def display(self) -> Display:
        return image_display(self.images[0]) if self.images else video_display(self.path)

    @property
    def stems(self) -> list[Path]:
        """What the outputs' names begin with: of each image, or of the video."""
        if self.images in ([], [self.path]):
            return [Path(self.name)]
        return [Path(self.name) / image.stem for image in self.images]

    def frames(self) -> TimedFrames:
        """A terminal shows how many are done."""
        uneven: tuple[float, ...] = ()
        if self.images:
            count, fps = len(self.images), 1.0
            frames = ((float(i), read_image(path)) for i, path in zip(self.places, self.images, strict=True))
        else:
            info = probe_video(self.path)
            count, fps, uneven = info.frames, info.fps, info.uneven_times
            begin = info.times[0] if info.times else 0.0
            timed = enumerate(timed_frames(self.path))
            frames = ((i / fps if time is None else time - begin, image) for i, (time, image) in timed)
        console = text_console(stderr=True)
        quiet = not console.is_terminal
        shown = track(frames, self.name, count, console=console, hidden=quiet)
        return TimedFrames(iter(shown), fps, uneven)


def camera_source(file: str | None, fov: float | None) -> CameraOf | None:
    """Of --camera or --fov; None: the camera is not known."""
    if file is None and fov is None:
        return None

    def camera_of(display: Display) -> Callable[[int, int], Camera]:
        def camera(height: int, width: int) -> Camera:
            return camera_for(file, fov, (height, width), f"{width}x{height} footage", display)

        return camera

    return camera_of


def through_lens(
    images: Iterable[UInt8[Tensor, "3 _ _"]], camera_of: CameraOf | None, display: Display
) -> tuple[Iterator[UInt8[Tensor, "3 _ _"]], IntrinsicsOf | None]:
    """An input's images without lens distortion, as training sees them, and their K; as they are, and None,
    where the camera is not known."""
    if camera_of is None:
        return iter(images), None
    camera, lenses = camera_of(display), dict[tuple[int, int], Undistortion]()

    def undistorted() -> Iterator[Tensor]:
        for image in images:
            size = image.shape[1], image.shape[2]
            if size not in lenses:
                lenses[size] = Undistortion(camera(*size))
            yield lenses[size].frames(image[None])[0]

    return undistorted(), lambda height, width: camera(height, width).intrinsics


def list_inputs(inputs: Sequence[str]) -> list[Input]:
    """Images and folders first, then videos; the names of those of one kind differ (`with_parents`).
    InputError for what is missing, or neither."""
    found = []
    for name in expand(inputs):
        path, suffix = Path(name), Path(name).suffix.lower()
        if path.is_dir():
            folder = image_folder(path)
            found.append(Input(name_of(path), path, folder.images, folder.runs, folder.places))
            warn_of_few_levels(path, folder.images)
        elif not path.exists():
            raise InputError(f"{path}: no such file or folder")
        elif suffix in IMAGE_SUFFIXES:
            found.append(Input(name_of(path), path, [path]))
            warn_of_few_levels(path, [path])
        else:
            check_video(path)
            found.append(Input(name_of(path), path, []))
    return sorted(with_parents(found), key=lambda one: not one.images)


def with_parents(inputs: Sequence[Input]) -> list[Input]:
    """The same; where several of one kind (image, folder, video) have one name, it takes as many parent
    folders as make them differ: data, data -> image_02_data, image_03_data."""
    kinds = dict[tuple[str, bool, bool], list[Input]]()
    for one in inputs:
        kinds.setdefault((one.name, one.path.is_dir(), not one.images), []).append(one)
    renamed = dict[int, str]()
    for (name, *_), alike in kinds.items():
        parents = [one.path.resolve().parts[1:-1] for one in alike]
        for depth in range(1, max(map(len, parents)) + 1 if len(alike) > 1 else 0):
            names = ["_".join([*parts[-depth:], name]) for parts in parents]
            if len(set(names)) == len(names):
                renamed |= {id(one): new for one, new in zip(alike, names, strict=True)}
                break
    return [one._replace(name=renamed.get(id(one), one.name)) for one in inputs]


def check_video(path: Path) -> None:
    """InputError where a file that is no image by its suffix is no video either."""
    known = " ".join(sorted({*IMAGE_SUFFIXES, *VIDEO_SUFFIXES}))
    if path.suffix.lower() in OTHER_IMAGES and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{path}: images of this kind are not read; convert it to JPEG or PNG")
    try:
        open_video(path).close()
    except InputError as error:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            raise
        raise InputError(f"{path}: neither an image nor a video; read are {known} and the like") from error


def check_one_size(one: Input) -> None:
    """InputError where the images of a folder differ in size, so that they make no video."""
    sizes = {image_size(image): image for image in reversed(one.images)}
    if len(sizes) > 1:
        *_, (second, b), (first, a) = sizes.items()
        raise InputError(
            f"--save video: {one.path} has images of different size: {a.name} is {first[1]}x{first[0]}, "
            f"{b.name} {second[1]}x{second[0]}; wanted one size, or --save colour"
        )
