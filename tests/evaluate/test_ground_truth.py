"""True depth of KITTI images, and the reference evaluator's numbers on a real drive."""

from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

import pytest
import torch

from mono2many.datasets.kitti.files import read_calibration
from mono2many.datasets.kitti.splits import KittiFrame
from mono2many.datasets.kitti.test_list import ground_truth_path, kitti_ground_truth
from mono2many.errors import InputError
from mono2many.io.depth_files import write_depth_png16
from mono2many.metrics.depth import mean_metrics
from mono2many.metrics.protocol import PROTOCOLS, Truth, median, score
from mono2many.metrics.sparse import SparseTruth

DRIVE = "2011_09_26_drive_0002_sync"
Tree = Callable[..., Path]


def read(root: Path, frames: Sequence[KittiFrame], kind: Truth) -> list[SparseTruth]:
    paths = [ground_truth_path(root, f, kind) for f in frames]
    return [
        kitti_ground_truth(path, f, kind, read_calibration(root, f.date))
        for path, f in zip(paths, frames, strict=True)
        if path is not None
    ]


@pytest.mark.parametrize(
    ("name", "reference", "ratio"),
    [
        ("eigen-80m", (0.51382, 20.28092, 18.11928, 0.52026, 0.64199, 0.80209, 0.87091), 1.0113),
        ("eigen-80m-z", (0.51780, 20.54916, 18.08482, 0.52407, 0.63611, 0.79860, 0.86968), 0.9893),
    ],
)
def test_a_real_drive_scores_as_in_the_reference_evaluator(
    name: str, reference: tuple[float, ...], ratio: float, kitti_raw: Path
) -> None:
    protocol = PROTOCOLS[name]
    truths = read(kitti_raw, [KittiFrame(DRIVE, n) for n in (0, 3, 6, 9)], protocol.truth)
    assert [len(truth.pixels) for truth in truths] == [19137, 19299, 19196, 19113]
    # near below, far above, as streets are
    rows = 0.01 + 0.3 * ((torch.arange(192) + 0.5) / 192 - 0.45).clamp(min=0)
    scores = [score(rows[:, None].expand(192, 640), truth, protocol) for truth in truths]
    found = [score for score in scores if score is not None]
    assert astuple(mean_metrics([score.metrics for score in found])) == pytest.approx(reference, abs=1e-4)
    assert median(torch.tensor([score.ratio for score in found])) == pytest.approx(ratio, abs=1e-4)


def test_a_scan_of_a_wall_is_its_points_at_their_distance(tmp_path: Path, kitti_tree: Tree) -> None:
    frame = KittiFrame(DRIVE, 0)
    (truth,) = read(kitti_tree(tmp_path, [frame]), [frame], "lidar-forward")
    assert (len(truth.pixels), set(truth.depth.tolist())) == (35, {10})


def test_improved_depth_must_have_the_pictures_size(tmp_path: Path, kitti_tree: Tree) -> None:
    frame = KittiFrame(DRIVE, 5)
    root = kitti_tree(tmp_path, [frame])
    path = root / f"train/{DRIVE}/proj_depth/groundtruth/image_02/0000000005.png"
    depth = torch.full((16, 40), torch.nan)
    depth[3, 7] = 42.5
    write_depth_png16(path, depth)
    (truth,) = read(root, [frame], "improved")
    assert (truth.size, truth.pixels.tolist(), truth.depth.tolist()) == ((16, 40), [3 * 40 + 7], [42.5])
    write_depth_png16(path, depth[:, :39])
    with pytest.raises(InputError, match="39x16 pixels, the calibration says 40x16"):
        read(root, [frame], "improved")
