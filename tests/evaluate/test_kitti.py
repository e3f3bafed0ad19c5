"""KITTI's lists: a wall 10 m ahead in a tiny tree, predictions whose error is known, and mistakes."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from mono2many.data.marker import MARKER
from mono2many.datasets.choice import DataConfig, find, settings_of
from mono2many.datasets.kitti.files import image_path
from mono2many.datasets.kitti.splits import KittiFrame, pack, split_frames
from mono2many.errors import InputError
from mono2many.evaluate.model_test import model_test, newest_model
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig, ModelTestConfig
from mono2many.io.depth_files import write_depth_png16
from mono2many.io.images import write_image
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.mono import MonoDepth

Tree = Callable[..., Path]
HERE = (0, 1, 5)
"""Places in kitti_eigen of the frames that the tree has."""


@pytest.fixture
def root(tmp_path: Path, kitti_tree: Tree) -> Path:
    frames = split_frames("kitti_eigen", "test")
    return kitti_tree(tmp_path / "dataset", [frames[place] for place in HERE])


def stored(path: Path, values: dict[int, float], count: int = 697) -> str:
    """A file of predictions: disparity 1/20 but where `values` say otherwise."""
    maps = np.full((count, 4, 10), 1 / 20, np.float32)
    for place, value in values.items():
        maps[place] = value
    np.save(path, maps)
    return str(path)


def score(root: Path, datatype: str = "kitti_eigen", **settings: Any) -> tuple[dict[str, Any], str]:
    """The figures and what was printed."""
    console = Console(file=StringIO(), width=100)
    settings = {"allow_missing": True, **settings}
    own = {key: settings.pop(key) for key in ("model", "json", "device") if key in settings}
    kind: Any = settings_of(find(datatype), "scoring")
    dataset = kind(str(root), batch_size=2, **settings)
    config = EvaluateConfig(data=DataConfig(datatype), dataset=dataset, **own)
    figures = evaluate(config, console)
    return figures, console.file.getvalue()  # type: ignore[attr-defined]


def saved_model(folder: Path, seen: tuple[str, ...] = (), **card: Any) -> str:
    architecture = MonoArchitecture("light", "light", scales=1, pose_type="light")
    save_model(folder, MonoDepth(architecture), ModelCard(architecture, 64, 128, seen=seen, **card))
    return str(folder)


def test_a_wall_put_twice_too_far_is_right_after_scaling_and_wrong_by_all_of_it_before(
    root: Path, tmp_path: Path
) -> None:
    file = stored(tmp_path / "p.npy", {5: 1 / 5})
    figures, said = score(root, predictions=file, json=str(tmp_path / "f.json"))
    (row,) = figures["rows"].values()
    assert "3 of 697 frames of kitti_eigen are there" in said
    assert "Lite-Mono" not in said  # the papers' images are others
    assert (figures["listed"], row["images"], row["protocol"]) == (697, 3, "eigen-80m")
    assert row["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert [image["ratio"] for image in row["per_image"]] == pytest.approx([0.5, 0.5, 2])
    # rows 9 to 13 and columns 16 to 22 lie in the crop of 16x40 pixels (rows 6 to 14, columns 1 to 37)
    assert [(r["low"], r["images"], r["pixels"]) for r in row["ranges"]] == [(10, 3, 3 * 35)]
    assert json.loads((tmp_path / "f.json").read_text())["rows"].keys() == {"predictions"}
    figures, _ = score(root, predictions=file, alignment="none")
    (row,) = figures["rows"].values()
    assert row["protocol"] == "eigen-80m, none"
    assert row["metrics"]["abs_rel"] == pytest.approx((1 + 1 + 0.5) / 3)
    # 1000 / 10 and 1000 / 20 differ by 50, 1000 / 5 by 100
    assert figures["server"]["predictions"]["irmse"] == pytest.approx((50 + 50 + 100) / 3)


def test_predictions_that_do_not_fit_are_refused_with_what_was_found(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.npy"
    with pytest.raises(InputError, match="652 maps, wanted 697 for kitti_eigen: of every frame"):
        score(root, predictions=stored(path, {}, 652))
    with pytest.raises(InputError, match=r"image 1 of the list \(2011_09_26/2011_09_26_drive_0002_sync 54 l"):
        score(root, predictions=stored(path, {1: np.nan, 5: -1, 600: np.nan}))
    np.save(path, np.zeros((697, 4), np.float32))
    with pytest.raises(InputError, match=r"float32 of shape \(697, 4\), wanted floats N H W"):
        score(root, predictions=str(path))
    np.save(path, np.array([np.zeros(2), np.zeros(3)], dtype=object))
    with pytest.raises(InputError, match="cannot be read as one NumPy array"):
        score(root, predictions=str(path))


def test_missing_frames_are_counted_and_the_command_that_fetches_them_is_told(
    root: Path, tmp_path: Path
) -> None:
    file = stored(tmp_path / "p.npy", {})
    wanted = r"694 of 697 frames .*drive_0002_sync 42 l .*prepare kitti --splits kitti_eigen "
    with pytest.raises(InputError, match=wanted):
        score(root, predictions=file, allow_missing=False)
    (root / MARKER).write_text("{}")
    figures, said = score(root, predictions=file, allow_missing=False)
    assert figures["synthetic"]
    assert "SYNTHETIC. Depth, protocol eigen-80m, 3 images" in said
    with pytest.raises(InputError, match="kitti_eigen_benchmark: 652 of 652 frames"):
        score(root, "kitti_eigen_benchmark", predictions=file)


def test_a_model_is_not_scored_on_what_it_was_trained_on_unless_asked(root: Path, tmp_path: Path) -> None:
    frames = split_frames("kitti_eigen", "test")
    model = saved_model(tmp_path / "m", tuple(pack([frames[0], frames[5]])), scale="metres", factor=2.0)
    with pytest.raises(InputError, match=r"2 of 3 frames .* --allow-contaminated"):
        score(root, model=model)
    with pytest.raises(InputError, match=r"5.4: .* in metres already \(factor 2"):
        score(root, model=model, alignment="5.4")
    page = tmp_path / "r.html"
    figures, said = score(root, model=model, allow_contaminated=True, report=str(page))
    assert {name: row["images"] for name, row in figures["rows"].items()} == {
        "model CONTAMINATED": 3,
        "as metres, not aligned CONTAMINATED": 3,
        "never seen, 1": 1,
        "as metres, not aligned, never seen, 1": 1,
    }
    apart = figures["rows"]["never seen, 1"]["per_image"]
    assert apart == figures["rows"]["model CONTAMINATED"]["per_image"][1:2]
    assert "CONTAMINATED: 2 of 3 images were in this model's training" in said
    assert "CONTAMINATED: 2 of 3" in page.read_text()
    assert "never seen, 1" in page.read_text()
    assert page.read_text().count("predicted disparity of") == 3


def test_an_own_list_names_either_eye(root: Path, tmp_path: Path, kitti_tree: Tree) -> None:
    frame = KittiFrame("2011_09_26_drive_0002_sync", 7, "r")
    kitti_tree(root, [frame])
    own = tmp_path / "own.txt"
    own.write_text(f"{frame}\n")
    figures, _ = score(root, "kitti", model=saved_model(tmp_path / "m"), split_files=(str(own),))
    assert (figures["list"], figures["rows"]["model"]["images"]) == (str(own), 1)
    with pytest.raises(InputError, match="list to train on"):
        score(root, "kitti_benchmark", model=str(tmp_path / "m"))
    with pytest.raises(InputError, match="--protocol ddad-200m: wanted one of eigen-80m"):
        score(root, model=str(tmp_path / "m"), protocol="ddad-200m")


def test_the_newest_model_is_put_to_the_test_on_both_lists(
    root: Path, tmp_path: Path, kitti_tree: Tree
) -> None:
    frame = split_frames("kitti_eigen_benchmark", "test")[0]
    kitti_tree(root, [frame])
    seen = tuple(pack([frame]))
    write_depth_png16(
        root
        / f"data_depth_annotated/val/{frame.drive}/proj_depth/groundtruth/image_02/{frame.number:010d}.png",
        torch.full((16, 40), 10.0),
    )
    out = tmp_path / "model_save"
    saved_model(out / "old", ("kitti_eigen_zhou",))
    saved_model(out / "new" / "best", seen)
    saved_model(out / "new", seen)
    assert newest_model(out) == out / "new" / "best"
    console = Console(file=StringIO(), width=120)
    config = ModelTestConfig(out=str(out), data=str(root), allow_missing=True, json=str(tmp_path / "f.json"))
    figures = model_test(config, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"model {out}/new/best" in said.replace("\n", "")
    lines = [line.split() for line in said.splitlines()]
    header = lines.index(["abs_rel", "sqrt_rel", "rmse", "rmse_log", "a1", "a2", "a3"])
    labels = [" ".join(line[:-7]) for line in lines[header + 1 : header + 4]]
    assert labels == ["kitti_eigen CONTAMINATED", "never seen, 2", "kitti_eigen_benchmark CONTAMINATED"]
    assert "1 of 652 images, protocol eigen-improved" in said
    assert [figures["lists"][name]["contaminated"] for name in ("kitti_eigen", "kitti_eigen_benchmark")] == [
        1,
        1,
    ]
    assert json.loads((tmp_path / "f.json").read_text())["model"] == str(out / "new" / "best")
    with pytest.raises(InputError, match="no model in it"):
        newest_model(tmp_path / "dataset")


def test_a_picture_of_another_size_is_not_scored(root: Path, tmp_path: Path) -> None:
    path = image_path(root, split_frames("kitti_eigen", "test")[HERE[0]])
    write_image(path, torch.zeros(3, 10, 20, dtype=torch.uint8))
    with pytest.raises(InputError, match=f"{path.name}: is 20x10, its calibration says 40x16"):
        score(root, model=saved_model(tmp_path / "m"))


def test_a_model_of_several_sizes_is_scored_at_the_one_nearest_to_the_lists_pictures(
    root: Path, tmp_path: Path
) -> None:
    rows = []
    for changed in ({"width": 160}, {"sizes": [[64, 64], [64, 160]]}):  # the pictures are 40x16
        torch.manual_seed(0)
        config = Path(model := saved_model(tmp_path / "model")) / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | changed))
        rows.append(score(root, model=model, device="cpu")[0]["rows"]["model"])
    assert rows[0] == rows[1]


def test_depths_in_place_of_disparities_are_questioned(root: Path, tmp_path: Path) -> None:
    """What the scanner sees is farther away to the left: disparity rises to the right, depth falls."""
    for scan in root.rglob("*.bin"):
        points = np.array([[10 + 2 * y, y, z, 0] for y in range(-3, 4) for z in range(-4, 1)], np.float32)
        points.tofile(scan)
    path = tmp_path / "p.npy"
    rising = np.broadcast_to(np.linspace(1, 2, 10, dtype=np.float32), (697, 4, 10))
    np.save(path, rising)
    assert "are they depths?" not in score(root, predictions=str(path))[1]
    np.save(path, rising[..., ::-1])
    for alignment in ("median", "affine"):
        said = score(root, predictions=str(path), alignment=alignment)[1]
        assert "are they depths? Wanted are disparities, 1 / depth" in " ".join(said.split())
