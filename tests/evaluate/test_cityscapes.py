"""Cityscapes: values by hand, then prepared, trained on and scored on the street in its layout."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mono2many.data.dataset import ClipDataset
from mono2many.data.image_files import ImageReader
from mono2many.datasets.base import ReadOptions
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.cityscapes import CityScoring, CityTraining
from mono2many.datasets.cityscapes.reader import marks, open_cityscapes, read_camera, read_snippets
from mono2many.errors import InputError
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.io.images import write_image
from mono2many.metrics.protocol import PROTOCOLS
from mono2many.models.checkpoint import read_card
from mono2many.train.loop import train
from mono2many.train.recipes import recipe
from mono2many.train.settings import ManyConfig, TrainConfig
from mono2many.types import Split

QUIET = Console(file=io.StringIO(), width=200)
TEST = "testville_000002_000019"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snippet to train on, one to validate on, one to score: frames 14 to 21, 128x64. Written by another
    program, where no shape is checked: that slows the painters down tenfold."""
    root = tmp_path_factory.mktemp("city") / "cityscapes"
    size = ["--drives", "3", "--frames", "8", "--height", "64", "--width", "128"]
    command = [sys.executable, "-m", "mono2many", "prepare", "synthetic", "--layout", "cityscapes", *size]
    subprocess.run([*command, "--workers", "1", "--out", str(root)], check=True)
    return root


@pytest.fixture
def copy(street: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(street, tmp_path / "copy"))


def picture(root: Path, number: int = 19, split: str = "test", scene: int = 2) -> Path:
    city = f"{split}ville"
    return root / "leftImg8bit_sequence" / split / city / f"{city}_{scene:06d}_{number:06d}_leftImg8bit.png"


def tree(root: Path, numbers: tuple[int, ...], **camera: Any) -> Path:
    """Pictures of 16x8 pixels, grey value 10 * row + frame number. Frame 19 is annotated: in row 0 1 px,
    unmeasured, 0 px; elsewhere 2 px."""
    about = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 10, "fy": 12, "u0": 7.5, "v0": 3}}
    stem = "train/aachen/aachen_000000_"
    for kind in ("leftImg8bit_sequence", "camera", "disparity"):
        (root / kind / "train/aachen").mkdir(parents=True)
    for n in numbers:
        rows = torch.arange(8)[:, None].expand(8, 16) * 10 + n
        write_image(root / f"leftImg8bit_sequence/{stem}{n:06d}_leftImg8bit.png", rows.byte().repeat(3, 1, 1))
    (root / f"camera/{stem}000019_camera.json").write_text(json.dumps({**about, "size": [8, 16], **camera}))
    pixels = np.full((8, 16), 513, np.uint16)
    pixels[0, :3] = 257, 0, 1
    Image.fromarray(pixels).save(root / f"disparity/{stem}000019_disparity.png")
    return root


def tiny(root: Path, out: Path, kind: str, **data: Any) -> TrainConfig:
    base = recipe("scratch", "cityscapes")
    return replace(
        base,
        data=replace(base.data, height=64, width=128, workers=0, frame_step=2),
        dataset=CityTraining(str(root), **data),
        model=replace(base.model, model=kind),  # type: ignore[arg-type]
        many=ManyConfig(hypotheses=8),
        optim=replace(base.optim, steps=2, batch_size=2),
        run=replace(base.run, name=kind, out=str(out), val_every=2, precision="fp32"),
    )


def opened(
    root: Path, split: Split, size: tuple[int, int] = (64, 128), own: Path | None = None, some: bool = False
) -> ImageReader:
    """own: a list, of which training and validation are one."""
    settings = CityTraining(str(root), some, split_files=() if own is None else (str(own), str(own)))
    return open_cityscapes(settings, ReadOptions(*size, (-2, 2)), split)


def score(root: Path, source: dict[str, Any] | None = None, **settings: Any) -> tuple[dict[str, Any], str]:
    """The figures and what was printed."""
    console = Console(file=io.StringIO(), width=200)
    own = {key: settings.pop(key) for key in ("model", "json", "device") if key in settings}
    dataset = CityScoring(str(root), **(source or {}), **settings)
    config = EvaluateConfig(data=DataConfig("cityscapes", frame_step=2), dataset=dataset, **own)
    figures = evaluate(config, console)
    return figures, console.file.getvalue()  # type: ignore[attr-defined]


def test_the_protocol_counts_rows_256_to_768_and_columns_192_to_1856() -> None:
    crop = PROTOCOLS["cityscapes-80m"].crop
    assert crop is not None
    assert crop.slices(768, 2048) == (slice(256, 768), slice(192, 1856))


def test_one_pixel_of_disparity_is_as_far_as_baseline_times_focal_length(tmp_path: Path) -> None:
    (snippet,) = read_snippets(tree(tmp_path / "city", (19,)), ("train",))
    depth = snippet.camera.depth(snippet.path("disparity"))
    assert depth.shape == (6, 16)  # two rows of hood
    assert depth[0, :4].tolist() == pytest.approx([2.0, np.nan, np.nan, 1.0], nan_ok=True)


def test_the_camera_follows_the_cut_and_the_resize(tmp_path: Path) -> None:
    intrinsic = {"fx": 2262.5, "fy": 2265.3, "u0": 1096.9, "v0": 513.1}
    path = tmp_path / "a" / "b" / "c" / "x_camera.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"extrinsic": {"baseline": 0.21}, "intrinsic": intrinsic}))
    camera = read_camera(path)
    assert (camera.whole, camera.images.kept) == ((1024, 2048), (768, 2048))
    # both axes by 1/4: cutting below moves nothing, cx' = (cx + 1/2) / 4 - 1/2
    k = camera.images.intrinsics_at((192, 512))
    assert k.flatten().tolist() == pytest.approx([565.625, 0, 273.85, 0, 566.325, 127.9, 0, 0, 1])


def test_frames_come_without_the_hood_and_neighbours_are_two_away(tmp_path: Path) -> None:
    root = tree(tmp_path / "city", (10, 17, 18, 19, 20, 21))
    reader = opened(root, "train", (6, 16))
    assert [(clip.frames, clip.size) for clip in reader.clips] == [(1, (6, 16)), (5, (6, 16))]
    assert reader.frame(1, 2).image[0, :, 5].tolist() == [19, 29, 39, 49, 59, 69]
    dataset = ClipDataset(reader, (-2, 2))
    assert dataset.without_neighbour == 1  # frame 10
    samples = dataset.batch([0, 2])
    assert samples.exists.tolist() == [[True, False, True], [True, True, True]]
    assert samples.frames[1, :, 0, 0, 0].tolist() == [19, 17, 21]
    # a list names targets; their neighbours are there too
    own = tmp_path / "own.txt"
    own.write_text("leftImg8bit_sequence/train/aachen/aachen_000000_000019_leftImg8bit.png\n")
    (clip,) = opened(root, "val", (6, 16), own).clips
    assert (clip.frames, clip.targets) == (5, (2,))
    assert marks(CityTraining(str(root), split_files=(str(own), str(own)))) == ["cityscapes aachen_000000"]
    assert marks(CityTraining(str(root))) == ["cityscapes aachen"]


@pytest.mark.parametrize("kind", ["mono", "many"])
def test_a_model_trains_on_the_street_in_this_layout_and_is_scored(
    kind: str, street: Path, tmp_path: Path
) -> None:
    said = io.StringIO()
    folder = train(tiny(street, tmp_path, kind), Console(file=said, width=200))
    assert "SYNTHETIC" in said.getvalue()
    card = read_card(folder)
    assert card.crop_bottom == 0.25  # of whole pictures, which `predict` is given
    assert card.seen == ("cityscapes trainville",)
    figures, said_of_it = score(street, model=str(folder), report=str(tmp_path / "r.html"))
    assert "SYNTHETIC" in said_of_it
    row, *_ = figures["rows"].values()
    assert (row["protocol"], row["images"], figures["listed"]) == ("cityscapes-80m", 1, 1)
    assert 0 < row["metrics"]["abs_rel"] < 2
    assert (tmp_path / "r.html").stat().st_size > 1000
    if kind == "many":
        assert card.architecture.matching == (-2,)  # type: ignore[attr-defined]
        assert "0 of 1 images have no neighbour" in said_of_it
    # what it was trained on is known again
    own = tmp_path / "own.txt"
    own.write_text("trainville_000000_000019\n")
    with pytest.raises(InputError, match="1 of 1 frames of cityscapes were in this model's training"):
        score(street, {"split_files": (str(own),)}, model=str(folder))


def test_the_inverse_of_true_depth_scores_perfectly_whatever_the_hood_says(
    street: Path, tmp_path: Path
) -> None:
    (snippet,) = read_snippets(street, ("test",))
    depth = snippet.camera.depth(snippet.path("disparity"))
    assert depth.shape == (48, 128)
    with Image.open(snippet.path("disparity")) as stored:  # 1 m where the hood is
        assert np.asarray(stored)[63, 64] == round(256 * 0.22 * 0.84 * 128) + 1
    np.save(tmp_path / "p.npy", (1 / depth).nan_to_num(0.1)[None].numpy())
    predictions = str(tmp_path / "p.npy")
    row = score(street, predictions=predictions, alignment="none")[0]["rows"]["predictions"]
    assert row["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)
    # rows 256 on of 768 are 16 on of 48, columns 192 to 1856 of 2048 are 12 to 116 of 128
    part = depth[16:, 12:116]
    assert sum(r["pixels"] for r in row["ranges"]) == int(((part > 1e-3) & (part < 80)).sum())


def test_frames_that_are_not_there_are_told_and_refused_where_a_list_names_them(
    copy: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "p.npy", np.ones((2, 8, 16), np.float32))
    own = tmp_path / "own.txt"
    own.write_text(f"{TEST}\ntestville_000007_000019\n")
    predictions, source = str(tmp_path / "p.npy"), {"split_files": (str(own),)}
    with pytest.raises(InputError, match=r"1 of 2 frames are missing or incomplete \(testville_000007"):
        score(copy, source, predictions=predictions)
    figures, said = score(copy, {**source, "allow_missing": True}, predictions=predictions)
    assert figures["listed"] == 2
    assert "1 of 2 frames are there" in said
    (copy / f"disparity/test/testville/{TEST}_disparity.png").unlink()
    with pytest.raises(InputError, match=r"1 of 1 frames are missing .*disparity_trainvaltest"):
        score(copy, predictions=predictions)
    own.write_text(f"{TEST}\n\nno frame\n")
    with pytest.raises(InputError, match=r"line 3: found 'no frame'; wanted lines such as: aachen_0"):
        score(copy, source, predictions=predictions)


def test_what_does_not_fit_is_refused_in_a_line_with_its_remedy(copy: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("trainville_000000_000019\naachen_000000_000019\n")

    def refused(said: str, split: Split = "train", root: Path = copy, own: Path | None = None) -> None:
        with pytest.raises(InputError, match=said) as mistake:
            opened(root, split, own=own).frame(0, 0)
        assert "\n" not in str(mistake.value)

    refused(r"empty: no such folder; --data needs", root=tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    refused(r"no camera file of Cityscapes in camera/train; unpack .*--data", root=tmp_path / "empty")
    refused(r"own.txt: 1 of 2 frames .*aachen_000000_000019\).*--allow-missing", own=own)
    assert len(opened(copy, "train", own=own, some=True).clips) == 1
    camera = copy / "camera/train/trainville/trainville_000000_000019_camera.json"
    about = json.loads(camera.read_text())
    camera.write_text(json.dumps({**about, "size": [1024, 2048]}))
    refused(r"is 128x64, its camera file says 2048x1024; unpack leftImg8bit_sequence_trainvaltest")
    (snippet,) = read_snippets(copy, ("train",))
    with pytest.raises(InputError, match=r"disparity.png: is 128x64, .* 2048x1024; unpack disparity_"):
        snippet.camera.depth(snippet.path("disparity"))
    camera.write_text(json.dumps({"extrinsic": {}, "intrinsic": about["intrinsic"]}))
    refused(r"camera.json: is no camera file .*'baseline'.*unpack camera_trainvaltest.zip")
    camera.unlink()
    refused("no camera file of Cityscapes in camera/train")
    shutil.copy(picture(copy), picture(copy, number=99))
    refused(r"_000099_.* and 0 more pictures have no camera file; .*--allow-missing", split="test")
    assert len(opened(copy, "test", some=True).clips) == 1
    shutil.rmtree(copy / "leftImg8bit_sequence")
    refused("no image in leftImg8bit_sequence/val", split="val")


def test_flags_that_do_not_fit_cityscapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"needs two lists, TRAIN.txt VAL.txt"):
        CityTraining(split_files=("a.txt",))
    with pytest.raises(InputError, match="scoring needs one list"):
        CityScoring(split_files=("a.txt", "b.txt"))
    with pytest.raises(InputError, match="wanted one of cityscapes-80m"):
        score(Path("x"), predictions="p.npy", protocol="eigen-80m")
