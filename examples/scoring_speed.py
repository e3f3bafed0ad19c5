"""How long KITTI's 697 eigen images take to score, beside the network's own time.

    python examples/scoring_speed.py KITTI/2011_09_26/2011_09_26_drive_0002_sync

The drive's scans stand in for all of them: links under the list's names, in a temporary folder.
"""

import itertools
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import tyro

from mono2many.datasets.kitti.files import read_calibration, velodyne_path
from mono2many.datasets.kitti.splits import KittiFrame, split_frames
from mono2many.datasets.kitti.test_list import kitti_ground_truth
from mono2many.metrics.protocol import PROTOCOLS, score
from mono2many.metrics.sparse import SparseTruth


def main(drive: tyro.conf.Positional[Path], workers: int = 1) -> None:
    frames, protocol = split_frames("kitti_eigen", "test"), PROTOCOLS["eigen-80m"]
    scans = itertools.cycle(sorted(drive.resolve().glob("velodyne_points/data/*.bin")))
    torch.set_num_threads(workers)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for frame, scan in zip(frames, scans, strict=False):
            path = velodyne_path(root, frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(scan)
        for date in {frame.date for frame in frames}:
            for file in drive.resolve().parent.glob("calib_*.txt"):
                (root / date / file.name).symlink_to(file)
        began = time.perf_counter()
        calibrations = {date: read_calibration(root, date) for date in {frame.date for frame in frames}}

        def read(f: KittiFrame) -> SparseTruth:
            return kitti_ground_truth(velodyne_path(root, f), f, protocol.truth, calibrations[f.date])

        with ThreadPoolExecutor(workers) as pool:
            truths = list(pool.map(read, frames))
        print(f"truth of {len(frames)} images, read from scans: {time.perf_counter() - began:.1f} s")
    disparity = torch.rand(192, 640) + 0.1
    began = time.perf_counter()
    for truth in truths:
        score(disparity, truth, protocol)
    seconds = time.perf_counter() - began
    print(f"metrics: {seconds:.1f} s, {1000 * seconds / len(truths):.1f} ms per image")


if __name__ == "__main__":
    tyro.cli(main)
