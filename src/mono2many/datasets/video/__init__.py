"""One's own footage as a data set: videos, folders of images, or lists of clips of `prepare video`."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from mono2many.datasets.base import (
    Dataset,
    DatasetSettings,
    Reader,
    ReadOptions,
    ReportOption,
    Split,
    at_least,
    imported_later,
)
from mono2many.errors import InputError
from mono2many.io.inputs import expand


@dataclass(frozen=True)
class VideoData(DatasetSettings):
    """Which footage, seen through which cameras."""

    data: tuple[str, ...] = ()
    """Video files, folders of images or of videos, or lists of clips; "trips/*.mp4" works too."""
    camera: tuple[str, ...] = ()
    """Camera file (JSON: fx fy cx cy width height, optional distortion; or a calibration of ROS, OpenCV,
    Kalibr, COLMAP, open3d): one for all --data, or one each. `learn`: estimate fx, fy, cx, cy of each video
    in training, from --fov on (default: 65 degrees along the longer side)."""
    fov: float | None = None
    """Horizontal field of view in degrees, where there is no camera file."""
    hold_out: float = 0.1
    """Share of the frames at the end of each clip kept for validation."""
    hold_out_frames: int | None = None
    """The same as a number of frames; wins over --hold-out."""
    mask: tuple[str, ...] = ()
    """PNG in which black (0) marks what is fixed to the camera, as ego vehicle and burnt-in text: it is left
    out of losses and scores; any other value is used. As large as the video, or of its shape; one for all
    --data, or one each. `none`: use all pixels. Default: the mask that `prepare video` found."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", expand(self.data))
        if not 0 <= self.hold_out < 1:
            raise InputError(f"--hold-out is a share below 1, got {self.hold_out}; try 0.1")
        at_least("--hold-out-frames", self.hold_out_frames or 0, 0)
        if "learn" in self.camera and len(self.camera) > 1:
            raise InputError("--camera learn estimates every video's camera: give no camera file beside it")
        if self.fov is not None and not 5 <= self.fov <= 170:
            raise InputError(f"--fov is in degrees, 5 to 170, got {self.fov}; a phone's camera has about 65")

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(map(Path, self.data))

    @property
    def learns_camera(self) -> bool:
        return self.camera == ("learn",)

    def with_learnt_cameras(self, model: str) -> DatasetSettings:
        if not self.learns_camera:
            return self
        from mono2many.models.starter import model_folder

        own = model_folder(model) / "cameras"
        folder = own if own.exists() else own.parents[1] / "cameras"  # of RUN/best: the run's
        named = (path for path in folder.glob("*.json") if re.fullmatch("[0-9]+", path.stem))
        files = sorted(named, key=lambda path: int(path.stem))
        if len(files) not in (1, len(self.data)):
            raise InputError(
                f"--camera learn: {folder} holds {len(files)} learnt cameras for {len(self.data)} of --data; "
                "give the camera files: --camera FILE.json ..."
            )
        return replace(self, camera=tuple(map(str, files)), fov=None)


@dataclass(frozen=True)
class VideoTraining(VideoData):
    """How footage is trained on."""

    crop_bottom: float = 0.0
    """Share of the height to cut off below, where the camera sees the ego vehicle."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.crop_bottom < 0.9:
            raise InputError(f"--crop-bottom is a share of the height below 0.9, got {self.crop_bottom}")


@dataclass(frozen=True)
class VideoScoring(ReportOption, VideoData):
    """How footage is scored."""


def open_video(s: VideoData, options: ReadOptions, split: Split) -> Reader:
    from mono2many.datasets.video.reader import VideoReader

    return VideoReader(s, options, split)


VIDEO = Dataset(
    name="video",
    summary="your own videos or folders of images",
    settings=VideoData,
    training=VideoTraining,
    scoring=VideoScoring,
    open=open_video,
    prepare=imported_later("mono2many.commands.prepare_video:run"),
    cleaning="mono2many prepare video VIDEO",
    preparation="list what can be learnt from in videos",
)
