"""Small archives in KITTI's own layout, from a bad server, become a tree that is whole, whatever happens."""

import io
import multiprocessing
import os
import random
import shutil
import signal
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mono2many.data.marker import MARKER
from mono2many.datasets.kitti import KittiData
from mono2many.datasets.kitti.check import check_kitti
from mono2many.datasets.kitti.command import PrepareKittiConfig
from mono2many.datasets.kitti.prepare import Needs, archives, needs_of, prepare_kitti
from mono2many.datasets.kitti.reader import kitti_sequences
from mono2many.datasets.kitti.splits import TEST_SPLITS, TRAINING_SPLITS, KittiFrame
from mono2many.types import InputError

DATE, FIRST, SECOND = "2011_09_26", "2011_09_26_drive_0001_sync", "2011_09_26_drive_0002_sync"
TRAINED = [KittiFrame(FIRST, number, eye) for number in range(4, 10) for eye in ("l", "r")]
TESTED = [KittiFrame(SECOND, number) for number in (0, 3, 6)]
NEEDS = Needs(("--splits", "kitti_eigen"), frozenset(TRAINED + TESTED), frozenset(TESTED), frozenset(TESTED))
CALIBRATION = {
    "calib_cam_to_cam.txt": "S_rect_02: 64 32\nS_rect_03: 64 32\nP_rect_02: 40 0 32 2 0 40 16 0 0 0 1 0\n"
    "P_rect_03: 40 0 32 -20 0 40 16 0 0 0 1 0\nR_rect_00: 1 0 0 0 1 0 0 0 1\n",
    "calib_velo_to_cam.txt": "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.27\n",
    "calib_imu_to_velo.txt": "R: 1 0 0 0 1 0 0 0 1\nT: -0.8 0 0\n",
}
LIST = Path(__file__).parents[2] / "splits" / "kitti_archieves_to_download.txt"


def png(seed: int, mode: str = "RGB") -> bytes:
    y, x = np.mgrid[:32, :64]
    noise = np.random.default_rng(seed).integers(0, 20, (32, 64))
    pixels = np.stack([90 + x + noise, 200 - 3 * y + noise, 60 + 2 * y + 0 * x], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


def pack(path: Path, members: dict[str, bytes | str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)


def drive_members(drive: str) -> dict[str, bytes | str]:
    folder, members = f"{DATE}/{drive}", dict[str, bytes | str]()
    for number in range(10):
        for camera in range(4):
            name = f"{folder}/image_0{camera}/data/{number:010d}.png"
            members[name] = png(10 * number + camera, "RGB" if camera > 1 else "L")
        scan = np.full((7, 4), number / 10, "<f4").tobytes()
        members[f"{folder}/velodyne_points/data/{number:010d}.bin"] = scan
        members[f"{folder}/oxts/data/{number:010d}.txt"] = "49.0 8.4 110 0 0 0" + " 0" * 24 + "\n"
    for part in ("image_00", "image_02", "image_03", "oxts", "velodyne_points"):
        members[f"{folder}/{part}/timestamps.txt"] = "2011-09-26 13:02:25\n" * 10
    return members


@pytest.fixture
def bucket(files: Any) -> Any:
    """Two drives, their date's calibration, improved depth of the second."""
    raw = files.folder / "raw_data"
    for drive in (FIRST, SECOND):
        pack(raw / drive.removesuffix("_sync") / f"{drive}.zip", drive_members(drive))
    pack(raw / f"{DATE}_calib.zip", {f"{DATE}/{name}": text for name, text in CALIBRATION.items()})
    deep = io.BytesIO()
    Image.fromarray(np.full((32, 64), 2560, np.uint16)).save(deep, "PNG")
    inside = f"val/{SECOND}/proj_depth/{{}}/image_02/{{:010d}}.png"
    kinds = [(kind, number) for kind in ("groundtruth", "velodyne_raw") for number in range(8)]
    pack(
        files.folder / "data_depth_annotated.zip",
        {inside.format(*key): deep.getvalue() for key in kinds},
    )
    return files


def prepare(root: Path, files: Any, terminal: bool | None = None, **flags: Any) -> str:
    """What it says."""
    said = io.StringIO()
    console = Console(file=said, width=200, force_terminal=terminal, highlight=False)
    prepare_kitti(NEEDS, PrepareKittiConfig(str(root), url=files.url, **flags), console)
    return said.getvalue()


def check(root: Path, needs: Needs = NEEDS) -> tuple[bool, str]:
    said = io.StringIO()
    well = check_kitti(root, needs, Console(file=said, width=200), workers=2)
    return well, said.getvalue()


def tree(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and path.name != ".prepare.lock"]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_the_list_for_wget_is_what_the_splits_need() -> None:
    urls = list(archives(needs_of((*TRAINING_SPLITS, *TEST_SPLITS))).values())
    base = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
    assert f"{base}/raw_data/2011_09_26_drive_0002/2011_09_26_drive_0002_sync.zip" in urls
    assert f"{base}/raw_data/2011_10_03_calib.zip" in urls
    assert urls[-1] == f"{base}/data_depth_annotated.zip"
    assert LIST.read_text() == "".join(f"{url}\n" for url in urls)
    tested = archives(needs_of(["kitti_eigen"]), "http://mirror")
    # Eigen et al. 2014: 697 images, 28 drives
    assert len([n for n in tested if n.endswith("_sync.zip")]) == 28
    assert all(url.startswith("http://mirror/raw_data/") for url in tested.values())


def test_training_needs_the_listed_images_and_tests_need_scans() -> None:
    trained, tested = needs_of(["kitti_eigen_full"]), needs_of(["kitti_eigen_benchmark"])
    assert len(trained.images) == 45_200 + 1_776
    assert not trained.scans
    assert not trained.improved
    assert len(tested.images) == len(tested.scans) == len(tested.improved) == 652


def test_a_bad_server_still_gives_a_whole_tree_of_what_is_read(bucket: Any, tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    bucket.cut, bucket.busy = 0.3, 0.1
    fetch_at_once(partial(prepare, root, bucket))
    found = tree(root)
    pictures = {name for name in found if "/image_0" in name and "depth" not in name and "data/" in name}
    assert pictures == {
        f"{DATE}/{drive}/image_0{camera}/data/{number:010d}.jpg"
        for drive in (FIRST, SECOND)
        for camera in (2, 3)
        for number in range(10)
    }
    assert f"{DATE}/{FIRST}/image_02/timestamps.txt" in found
    assert f"{DATE}/{FIRST}/oxts/data/0000000009.txt" in found
    assert not any("velodyne_raw" in name or ".zip.part" in name for name in found)
    assert not (root / ".archives").exists()
    assert check(root)[0]
    assert len(kitti_sequences("kitti_eigen_zhou", TRAINED, KittiData(str(root)), (-1, 1))) == 2
    bucket.asked.clear()
    assert "4 of 4 archives are unpacked" in prepare(root, bucket)
    assert bucket.asked == []
    assert tree(root) == found


def fetch_at_once(work: Callable[[], object]) -> None:
    """Without the pauses between attempts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds: None)
        work()


def test_killed_at_any_moment_and_run_again_it_ends_the_same_and_no_image_is_ever_lost(
    bucket: Any, tmp_path: Path
) -> None:
    start = time.monotonic()
    prepare(tmp_path / "undisturbed", bucket)
    usual = time.monotonic() - start
    root, chance, kills = tmp_path / "dataset", random.Random(0), 0
    seen: set[Path] = set()
    while kills < 10:
        child = multiprocessing.get_context("fork").Process(target=prepare, args=(root, bucket))
        child.start()
        assert child.pid
        end = time.monotonic() + chance.uniform(0.0, 0.7 * usual)
        while time.monotonic() < end and child.is_alive():
            for stem in seen:  # first the PNG, then the JPEG: one of both is there at each moment
                assert stem.with_suffix(".png").exists() or stem.with_suffix(".jpg").exists()
            names = root.glob(f"{DATE}/*/image_0?/data/[0-9]*.*g")
            seen |= {path.with_suffix("") for path in names}
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.join()
        if child.exitcode == 0:  # it was too fast: once more
            assert tree(root) == tree(tmp_path / "undisturbed")
            shutil.rmtree(root)
            seen.clear()
    prepare(root, bucket)
    assert tree(root) == tree(tmp_path / "undisturbed")


def test_as_png_if_asked_and_jpeg_later(bucket: Any, tmp_path: Path) -> None:
    prepare(tmp_path, bucket, png=True)
    found = tree(tmp_path)
    assert all(
        (found.get(n) == data) == ("image_00" not in n and "image_01" not in n)
        for n, data in drive_members(FIRST).items()
        if isinstance(data, bytes)
    )
    bucket.asked.clear()
    said = prepare(tmp_path, bucket)
    assert "2 drives had PNG images, which stay; to make JPEGs of them: --convert-own" in said
    assert "40 PNGs are JPEGs now" in prepare(tmp_path, bucket, convert_own=True)
    assert bucket.asked == []
    assert not list(tmp_path.glob(f"{DATE}/*/image_0?/data/*.png"))
    assert len(list(tmp_path.glob(f"{DATE}/*/image_0?/data/*.jpg"))) == 40


def test_what_someone_else_unpacked_or_fetched_is_used_and_stays(bucket: Any, tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    raw = bucket.folder / "raw_data"
    for path in (raw / "2011_09_26_drive_0001" / f"{FIRST}.zip", raw / f"{DATE}_calib.zip"):
        with zipfile.ZipFile(path) as file:
            file.extractall(root)
    (root / f"{SECOND}.zip").write_bytes((raw / "2011_09_26_drive_0002" / f"{SECOND}.zip").read_bytes())
    before = tree(root)
    said = prepare(root, bucket)
    assert bucket.asked == ["/data_depth_annotated.zip"]
    assert "1 drives had PNG images, which stay; to make JPEGs of them: --convert-own" in said
    after = tree(root)
    assert before.items() <= after.items()
    assert f"{DATE}/{SECOND}/image_02/data/0000000003.jpg" in after
    lost = root / DATE / FIRST / "image_02/data/0000000004.png"
    lost.unlink()
    prepare(root, bucket)  # completed, but the others' PNGs are still theirs
    assert before.items() <= tree(root).items()
    prepare(root, bucket, convert_own=True)
    assert not list(root.glob(f"{DATE}/*/image_0?/data/*.png"))
    assert check(root)[0]


@pytest.mark.parametrize("name", ["../out.png", "/out.png", f"{DATE}/../../out.png", "..\\out.png", "link"])
def test_an_archive_that_climbs_is_refused_and_nothing_of_it_is_written(
    bucket: Any, tmp_path: Path, name: str
) -> None:
    root = tmp_path / "a" / "dataset"
    path = bucket.folder / "raw_data" / "2011_09_26_drive_0001" / f"{FIRST}.zip"
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o120777 if name == "link" else 0o100644) << 16
        file.writestr(info, "/etc")
    with pytest.raises(InputError, match=f"{FIRST}.zip: its member .* would land outside") as told:
        prepare(root, bucket)
    assert name in str(told.value)
    assert not list(tmp_path.rglob("*out.png"))
    assert not (root / DATE / FIRST).exists()


def test_a_damaged_archive_is_named_and_removed_and_fetched_again(bucket: Any, tmp_path: Path) -> None:
    path = bucket.folder / "raw_data" / "2011_09_26_drive_0001" / f"{FIRST}.zip"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    with zipfile.ZipFile(path) as file:
        at = file.getinfo(f"{DATE}/{FIRST}/image_03/data/0000000005.png").header_offset + 300
    damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    root = tmp_path / "dataset"
    with pytest.raises(InputError, match=rf"{FIRST}.zip: damaged .*removed, then run the same again"):
        prepare(root, bucket)
    assert not (root / DATE / FIRST / "image_03/data/0000000005.png").exists()
    assert not list((root / ".archives").glob("*.zip"))
    path.write_bytes(whole)
    prepare(root, bucket)
    assert check(root)[0]


def test_two_cannot_prepare_one_tree_at_once(bucket: Any, tmp_path: Path) -> None:
    import fcntl

    ready, done = multiprocessing.get_context("fork").Event(), multiprocessing.get_context("fork").Event()

    def hold() -> None:
        with (tmp_path / ".prepare.lock").open("a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            ready.set()
            done.wait()

    child = multiprocessing.get_context("fork").Process(target=hold)
    child.start()
    ready.wait()
    with pytest.raises(InputError, match="another process prepares it"):
        prepare(tmp_path, bucket)
    done.set()
    child.join()
    assert bucket.asked == []


def test_check_tells_missing_damaged_and_odd_sized_files_by_drive(bucket: Any, tmp_path: Path) -> None:
    root = tmp_path / "dataset"
    prepare(root, bucket, png=True)
    lefts = root / DATE / FIRST / "image_02/data"
    cut = (lefts / "0000000004.png").read_bytes()
    (lefts / "0000000004.png").write_bytes(cut[: len(cut) // 2])
    Image.new("RGB", (64, 32)).save(lefts / "0000000005.jpg")
    (lefts / "0000000005.jpg").write_bytes((lefts / "0000000005.jpg").read_bytes()[:-100])
    Image.new("RGB", (65, 32)).save(lefts / "0000000006.png")
    (lefts / "0000000007.png").unlink()
    scan = root / DATE / SECOND / "velodyne_points/data/0000000003.bin"
    scan.write_bytes(scan.read_bytes()[:-1])
    well, said = check(root)
    assert not well
    assert f"{FIRST}.zip: 2 damaged, 1 missing, 1 odd-sized of 12 files" in said
    assert f"{SECOND}.zip: 1 damaged of 6 files" in said
    lines = [line.strip() for line in said.splitlines()]
    assert lines[-1] == f"mono2many prepare kitti --splits kitti_eigen --data {root} --png"
    removed = lines[-2].split()
    assert removed[0] == "rm"
    for path in removed[1:]:
        Path(path).unlink()
    prepare(root, bucket, png=True)
    assert check(root)[0]
    (root / DATE / "calib_cam_to_cam.txt").write_text("S_rect_02: nan 32\n")
    (root / DATE / "calib_imu_to_velo.txt").unlink()
    well, said = check(root)
    assert not well
    assert "calib_cam_to_cam.txt: key S_rect_02 is 'nan 32'" in said
    assert f"rm {root / DATE / 'calib_cam_to_cam.txt'}" in said


def test_check_asks_for_png_only_where_images_are_png(bucket: Any, tmp_path: Path) -> None:
    prepare(tmp_path, bucket)  # the improved depth is PNG all the same
    (tmp_path / DATE / FIRST / "image_02/data/0000000004.jpg").unlink()
    well, said = check(tmp_path)
    assert not well
    assert said.endswith(f"mono2many prepare kitti --splits kitti_eigen --data {tmp_path}\n")


def test_space_is_told_before_anything_is_fetched(bucket: Any, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in bucket.folder.rglob("*.zip"))
    said = prepare(tmp_path / "dataset", bucket, terminal=True)
    assert f"to fetch: 4 archives, {size / 1e9:.1f} GB; disk: about" in said
    for work in ("", ": unpacking"):  # how far each is, where someone looks
        assert f"{FIRST}.zip{work} " in said


def test_an_archive_that_the_server_lacks_is_named_and_a_street_is_not_mixed(
    bucket: Any, tmp_path: Path
) -> None:
    (bucket.folder / "raw_data/2011_09_26_drive_0002" / f"{SECOND}.zip").unlink()
    with pytest.raises(InputError, match=f"{SECOND}.zip: HTTP Error 404"):
        prepare(tmp_path, bucket)
    assert list(tmp_path.glob(f"{DATE}/{FIRST}/image_02/data/*.jpg"))
    (tmp_path / MARKER).write_text("{}")
    with pytest.raises(InputError, match="holds the procedural street"):
        prepare(tmp_path, bucket)
