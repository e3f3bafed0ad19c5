"""What `import mono2many` gives: names, images of every kind, depth maps, recipes, data sets of one's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mono2many
from mono2many import InputError, Predictor, recipe, register
from mono2many.cli import main
from mono2many.datasets import DATASETS
from mono2many.datasets.base import Dataset, RootSettings
from mono2many.datasets.choice import find
from mono2many.errors import InputWarning
from mono2many.io.depth_files import read_depth_png16
from mono2many.io.images import read_image
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard
from mono2many.models.mono import MonoDepth
from mono2many.predict.depth_map import DepthMap
from mono2many.predict.trajectory import trajectory
from mono2many.train.recipes import RECIPES

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(MonoDepth(LIGHT), ModelCard(LIGHT, 64, 96))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_the_names_are_listed_and_importing_them_needs_no_torch() -> None:
    code = (
        "import sys, mono2many; names = dir(mono2many)\n"
        "from mono2many import InputError, TrainConfig, recipe, recipes, train\n"
        "import mono2many.train.settings\n"
        "assert callable(mono2many.train)\n"
        "print('torch' in sys.modules, *names)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == "False"
    assert {"load", "Predictor", "DepthMap", "train", "TrainConfig", "recipes", "recipe", "register"} <= {
        *said
    }
    for name in dir(mono2many):
        assert getattr(mono2many, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = mono2many.lod  # type: ignore[attr-defined]


def test_a_path_a_pil_image_an_array_and_a_tensor_give_the_same_depth(
    predictor: Predictor, picture: Path
) -> None:
    tensor = read_image(picture)
    opened = Image.open(picture)
    kinds = [picture, str(picture), opened, np.array(opened), tensor, opened.convert("RGBA")]
    maps = [predictor(kind) for kind in kinds]
    assert all(torch.equal(one.depth, maps[0].depth) for one in maps)
    together = predictor(kinds)
    assert len(together) == len(kinds)
    for one in together:
        torch.testing.assert_close(one.disparity, maps[0].disparity, rtol=1e-4, atol=1e-6)


def test_a_list_may_mix_sizes_of_a_model_with_several(predictor: Predictor) -> None:
    several = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, sizes=((64, 96), (64, 192))))
    images = [torch.randint(0, 256, (3, 50, w), dtype=torch.uint8) for w in (70, 150, 71, 72, 160, 50)]
    for image, found in zip(images, several(images), strict=True):
        alone = several(image)
        assert found.depth.shape == image.shape[1:]
        torch.testing.assert_close(found.disparity, alone.disparity, rtol=1e-4, atol=1e-6)
    stacked = several(torch.stack([images[0], images[0].flip(-1)]))
    assert [one.depth.shape for one in stacked] == [(50, 70)] * 2
    assert len(several(np.zeros((3, 20, 30, 3), np.uint8))) == 3
    assert several([]) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.rand(3, 8, 8), r"floats in \[0, 1\]"),
        ("gone.png", "gone.png: cannot be read"),
        (Image.new("I;16", (8, 8)), "give the path"),
        (["gone.png"], "gone.png"),
    ],
)
def test_what_is_no_image_is_refused(predictor: Predictor, wrong: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        predictor(wrong)  # type: ignore[call-overload]


def test_a_pil_image_is_turned_upright_as_its_file_is(predictor: Predictor, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(
        tmp_path / "o.png", exif=exif
    )
    path, opened = predictor(tmp_path / "o.png"), predictor(Image.open(tmp_path / "o.png"))
    assert path.depth.shape == (60, 40)
    assert torch.equal(path.depth, opened.depth)


def test_pose_is_the_step_of_the_trajectory(predictor: Predictor) -> None:
    a, b = (torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8) for _ in range(2))
    pose = predictor.pose(a, b.permute(1, 2, 0).numpy())
    torch.testing.assert_close(pose, trajectory(predictor, [a, b])[1])
    assert predictor.to("cpu") is predictor
    with pytest.raises(InputError, match="60x40 and 50x40"):
        predictor.pose(a, b[:, :, :50])
    with pytest.raises(InputError, match="needs the camera"):
        predictor.pose(a, b, refine=True)


def test_points_lie_on_the_rays_of_their_pixels_at_their_depth() -> None:
    depth = torch.full((4, 6), 2.0)
    k = np.array([[10.0, 0, 2], [0, 20, 1], [0, 0, 1]])
    points = DepthMap(depth, 1 / depth).points(k)
    assert points.shape == (4, 6, 3)
    assert points[1, 2].tolist() == [0, 0, 2]
    assert points[3, 5].tolist() == pytest.approx([2 * 3 / 10, 2 * 2 / 20, 2])
    with pytest.raises(InputError, match="wanted 3x3"):
        DepthMap(depth, 1 / depth).points(torch.eye(4))


def test_a_depth_map_is_saved_by_its_suffix_and_read_back(tmp_path: Path) -> None:
    depth = torch.linspace(1, 50, 24).view(4, 6)
    metric, free = DepthMap(depth, 1 / depth, "metres"), DepthMap(depth, 1 / depth)
    assert np.array_equal(np.load(metric.save(tmp_path / "new" / "d.npy")), depth.numpy())
    torch.testing.assert_close(read_depth_png16(metric.save(tmp_path / "d.png")), depth, atol=1 / 512, rtol=0)
    torch.testing.assert_close(read_depth_png16(free.save(tmp_path / "f.png")), depth, atol=1e-3, rtol=0)
    coloured = read_image(free.save(tmp_path / "c.png", "colour"))
    assert torch.equal(coloured, free.colour())
    assert read_image(free.save(tmp_path / "c.jpg")).shape == (3, 4, 6)
    for name, kind in (
        ("d.txt", None),
        ("d", None),
        ("d.npy", "png16"),
        ("d.jpg", "npy"),
    ):
        with pytest.raises(InputError, match=rf"{name}: a depth map is saved"):
            metric.save(tmp_path / name, kind)  # type: ignore[arg-type]


def test_a_depth_map_becomes_points_and_a_mesh_of_its_camera(tmp_path: Path) -> None:
    depth, k = torch.full((4, 6), 2.0), torch.tensor([[10.0, 0, 2], [0, 20, 1], [0, 0, 1]])
    depth[:, 3:] = 4.0
    image = torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8)
    found = DepthMap(depth, 1 / depth, "metres", image, k)
    surface = found.surface(mesh=True)
    assert len(surface.triangles) == 2 * 3 * 4  # 15 squares, of which the three at the jump are cut
    assert surface.points[8].tolist() == [0, 0, 2]
    assert torch.equal(surface.colours, image.movedim(0, 2).reshape(-1, 3))
    assert torch.equal(found.surface(2 * k).points[:, 2], depth.flatten())
    assert found.save(tmp_path / "a.ply").read_bytes().startswith(b"ply")
    assert found.save(tmp_path / "a.glb").read_bytes().startswith(b"glTF")
    with pytest.warns(InputWarning, match="no camera is known"):
        DepthMap(depth, 1 / depth).save(tmp_path / "b.ply")
    wide = DepthMap(torch.ones(2, 1300), torch.ones(2, 1300), "metres", intrinsics=k)
    assert len(wide.surface(mesh=True).points) == 433  # every third column, and one row


def test_a_recipe_takes_flags_by_their_names_and_checks_them() -> None:
    config = recipe("scratch", "video", data=Path("a.mp4"), fov=60, batch_size=3, name="x", height=64)
    assert (config.dataset.data, config.dataset.fov) == (("a.mp4",), 60.0)  # type: ignore[attr-defined]
    assert (config.optim.batch_size, config.optim.steps, config.run.name, config.data.height) == (
        3,
        2000,
        "x",
        64,
    )
    assert config.run.recipe == "scratch"
    for name in RECIPES:
        assert recipe(name).run.recipe == name
    assert recipe("scratch", encoder="resnet18").model.encoder == "resnet18"
    for flags, said in (
        ({"batchsize": 3}, "no flag 'batchsize'.*did you mean batch_size"),
        ({"steps": "many"}, "recipe: steps must be int, got 'many'"),
        ({"batch_size": 0}, "--batch-size must be at least 1"),
        ({"max_gap": 1.0}, "no flag 'max_gap' of train --datatype synthetic"),
    ):
        with pytest.raises(InputError, match=said):
            recipe("scratch", **flags)


@pytest.fixture
def own() -> Iterator[Dataset]:
    before = dict(DATASETS)
    yield Dataset("drive", "of one's own", RootSettings, lambda *_: None, training=RootSettings)  # type: ignore
    DATASETS.clear()
    DATASETS.update(before)


def test_a_registered_data_set_is_known_by_its_name_and_no_name_is_taken_twice(own: Dataset) -> None:
    register(own)
    register(own)  # as when a module is imported again
    assert find("drive") is own
    assert recipe("default", "drive", data="x").dataset == RootSettings("x")
    other = Dataset("video", "", RootSettings, own.open)
    with pytest.raises(InputError, match="'video' exists already"):
        register(other)


def test_an_installed_package_brings_a_data_set_by_its_entry_point(
    own: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = tmp_path / "drives-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: drives\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[mono2many.datasets]\ndrive = drives_of_mine:DRIVE\nbroken = drives_of_mine:GONE\n"
    )
    (tmp_path / "drives_of_mine.py").write_text(
        "from mono2many.datasets.base import Dataset, RootSettings\n"
        "DRIVE = Dataset('drive', 'mine', RootSettings, print, training=RootSettings)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert find("drive").summary == "mine"
    with pytest.raises(InputError, match="broken: drives_of_mine:GONE cannot be imported"):
        find("broken")
    with pytest.raises(SystemExit):
        main(["train", "--datatype", "drive", "--data", str(tmp_path / "gone")])
    assert "gone: no such file or folder" in capsys.readouterr().err
