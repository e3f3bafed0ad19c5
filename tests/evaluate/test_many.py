"""The four rows of a ManyDepth, on the street and on a list of KITTI."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from mono2many.datasets.choice import DataConfig
from mono2many.datasets.kitti import KittiScoring
from mono2many.datasets.kitti.splits import split_frames
from mono2many.datasets.street import StreetScoring
from mono2many.datasets.video import VideoData
from mono2many.evaluate.depth import METRIC
from mono2many.evaluate.frames import reader_frames
from mono2many.evaluate.predictors import Method, from_network, network_disparities, network_inputs
from mono2many.evaluate.run import evaluate
from mono2many.evaluate.settings import EvaluateConfig
from mono2many.io.videos import VideoWriter
from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.predict.predictor import blend_mirrored, load
from mono2many.street.reader import StreetSettings, SyntheticReader
from mono2many.types import Frame, InputError

MANY = ManyArchitecture("light", "light", pose_type="light", hypotheses=8)
MODEL, SINGLE, STATIC, TEACHER = FOUR = (
    Method.MODEL,
    Method.SINGLE_FRAME,
    Method.STATIC_CAMERA,
    Method.TEACHER,
)


def lively(model: ManyDepth) -> ManyDepth:
    """Weights through which input shows in the output, and a motion that the sweep notices."""
    with torch.no_grad():
        for net in (model.depth, model.teacher):
            for module in net.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)
        model.pose.trunk.out.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 5.0, 0.0, 2.0]))  # type: ignore[union-attr, operator]
    return model.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("many")
    save_model(folder, lively(ManyDepth(MANY)), ModelCard(MANY, 64, 96, scale="metres", factor=2.0))
    return folder


def test_each_row_is_what_its_name_says(folder: Path) -> None:
    predictor, reader = load(folder, "cpu"), SyntheticReader(StreetSettings(1, 3, 64, 96), "test")
    many, eval_frames = predictor.model, reader_frames(reader)
    first, second, _ = from_network(predictor, batch_size=1)(eval_frames)
    assert isinstance(many, ManyDepth)
    frames = [reader.frame(0, i) for i in range(2)]
    (before, now), k = (f.image[None].float() / 255 for f in frames), frames[1].intrinsics[None]
    here = torch.tensor([[True]])
    wanted = {
        MODEL: many.disparity(now, before[:, None], here, k),
        SINGLE: many.disparity(now, before[:, None], ~here, k),
        STATIC: many.disparity(now, before[:, None], here, k, now[:, None]),
        TEACHER: many.teacher(now),
    }
    for row, disparity in wanted.items():
        torch.testing.assert_close(second[row], disparity.detach() / 2, rtol=1e-4, atol=1e-5)
    # the first has no frame before it
    torch.testing.assert_close(first[MODEL], first[SINGLE], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first[STATIC], first[SINGLE], rtol=1e-4, atol=1e-5)


def flipped(frame: Frame) -> Frame:
    return Frame(frame.image.flip(-1), frame.intrinsics)


def test_with_flip_the_neighbours_are_mirrored_too(folder: Path) -> None:
    predictor, reader = load(folder, "cpu"), SyntheticReader(StreetSettings(1, 3, 64, 96), "test")
    before, now = (reader.frame(0, i) for i in range(2))  # its camera looks through the middle
    plain = network_inputs(predictor, now, [before], (64, 96))
    mirrored = network_inputs(predictor, flipped(now), [flipped(before)], (64, 96))
    both = network_disparities(predictor, [plain, mirrored], flip=False)
    for row, found in network_disparities(predictor, [plain], flip=True).items():
        wanted = blend_mirrored(both[row][:1], both[row][1:].flip(-1))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_street_is_scored_in_four_rows_with_holes_where_cars_drive(folder: Path) -> None:
    console = Console(file=StringIO(), width=100)
    streets = StreetScoring(test_scenes=2, baseline_scenes=1)
    config = EvaluateConfig(model=str(folder), dataset=streets)
    figures = evaluate(config, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert list(figures["rows"])[:4] == list(FOUR)
    abs_rel = {row: figures["rows"][row]["metrics"]["abs_rel"] for row in FOUR}
    assert len(set(abs_rel.values())) == 4
    assert all(0 <= figures["rows"][row]["holes"] <= 1 for row in FOUR)
    assert METRIC in figures["rows"]
    assert figures["better_guess"] not in (*FOUR, METRIC)
    scored = [image["index"] for image in figures["rows"][MODEL]["per_image"]]
    assert scored == [1, 3, 1, 3]  # of four frames a street, those with one before them
    assert "holes, moving pixels wrong by more than a factor 2: model " in said
    assert "too far by more than a factor 2, model: static " in said
    assert all(set(row["too_far"]) == set(row["regions"]) for row in figures["rows"].values())


def test_a_street_too_short_for_what_a_model_matches_is_refused(tmp_path: Path) -> None:
    far = replace(MANY, matching=(-1, -2, -3))
    save_model(tmp_path, ManyDepth(far), ModelCard(far, 64, 96))
    streets = StreetScoring(scene_frames=3, test_scenes=1, baseline_scenes=1)
    config = EvaluateConfig(model=str(tmp_path), dataset=streets)
    with pytest.raises(InputError, match=r"--scene-frames 3: .*\(-1 -2 -3\); ask for at least 4"):
        evaluate(config, Console(file=StringIO()))


def test_a_list_of_kitti_is_scored_in_four_rows_with_the_frames_beside_it(
    folder: Path, tmp_path: Path, kitti_tree: Callable[..., Path]
) -> None:
    first, second, *_ = split_frames("kitti_eigen", "test")
    frames = [first, second, replace(first, number=first.number - 1)]
    root = kitti_tree(tmp_path / "dataset", frames)
    console = Console(file=StringIO(), width=100)
    page = tmp_path / "r.html"
    dataset = KittiScoring(str(root), allow_missing=True, batch_size=2, report=str(page))
    config = EvaluateConfig(str(folder), DataConfig("kitti_eigen"), dataset)
    figures = evaluate(config, console)
    assert set(figures["rows"]) == {*FOUR, METRIC}
    errors = {
        row: [image["metrics"]["abs_rel"] for image in figures["rows"][row]["per_image"]] for row in FOUR
    }
    assert errors[MODEL][1] == pytest.approx(errors[SINGLE][1], rel=1e-3)
    assert errors[TEACHER][1] != pytest.approx(errors[SINGLE][1], rel=1e-3)
    assert len({e[0] for e in errors.values()}) == 4
    assert figures["without_neighbour"] == 1
    assert "1 of 2 images have no neighbour to match" in console.file.getvalue()  # type: ignore[attr-defined]
    assert page.exists()


def test_footage_is_judged_by_student_and_teacher(tmp_path: Path) -> None:
    torch.manual_seed(0)
    deep = replace(MANY, matching=(-1, -2))
    save_model(tmp_path / "many", lively(ManyDepth(deep)), ModelCard(deep, 64, 96))
    street = SyntheticReader(StreetSettings(1, 12, 64, 96), "test")
    with VideoWriter(tmp_path / "street.mp4", 10.0) as film:
        for i in range(12):
            film.write(street.frame(0, i).image)
    dataset = VideoData((str(tmp_path / "street.mp4"),), fov=80.0, hold_out=0.5)
    console = Console(file=StringIO(), width=100)
    figures = evaluate(EvaluateConfig(str(tmp_path / "many"), DataConfig("video"), dataset), console)
    assert figures["teacher"]["images"] == figures["images"] == 6
    assert figures["teacher"]["still"] != figures["predicted"] != figures["teacher"]["predicted"]
    assert "teacher" in console.file.getvalue()  # type: ignore[attr-defined]
