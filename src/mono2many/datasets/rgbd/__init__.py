"""A folder of your own with measured depth, or a sequence of TUM RGB-D (Sturm et al. 2012) as unpacked.

images/0001.jpg  depth/0001.png (16 bit; or .npy, metres)  camera.json  trajectory.txt (or none)
rgb.txt  depth.txt  groundtruth.txt (or none)              TUM's: matched by time
"""

from dataclasses import dataclass
from pathlib import Path

from mono2many.datasets.base import Dataset, DatasetSettings, TestListOptions, imported_later, share


@dataclass(frozen=True)
class RgbdData(DatasetSettings):
    """Which folders."""

    data: tuple[str, ...] = ("dataset",)
    """Folders, each a sequence, or a folder of such folders."""
    depth_scale: float | None = None
    """Units of a depth PNG per metre; default: 1000 (millimetres), 5000 of TUM's."""
    hold_out: float = 0.1
    """Share of the frames at the end of each sequence kept for validation and scores."""

    def __post_init__(self) -> None:
        share("--hold-out", self.hold_out)

    @property
    def sources(self) -> tuple[Path, ...]:
        return tuple(map(Path, self.data))


@dataclass(frozen=True)
class RgbdScoring(TestListOptions, RgbdData):
    """How they are scored."""

    whole: bool = False
    """Score all frames, not only the held-out ones: for folders that were not trained on."""

    def __post_init__(self) -> None:
        RgbdData.__post_init__(self)
        TestListOptions.__post_init__(self)


RGBD = Dataset(
    name="rgbd",
    summary="your own images with measured depth, or TUM RGB-D",
    settings=RgbdData,
    training=RgbdData,
    scoring=RgbdScoring,
    open=imported_later("mono2many.datasets.rgbd.reader:open_rgbd"),
    protocols=("rgbd-10m",),
    test_list=imported_later("mono2many.datasets.rgbd.reader:rgbd_eval_set"),
    marks=imported_later("mono2many.datasets.rgbd.reader:marks"),
    layout="rgbd",
    layout_holds="images with depth maps, a camera file and a trajectory",
    write_street=imported_later("mono2many.street.video:write_recordings"),
)
