"""A model is scored on its own run's data, wherever in the run it lies, and never silently on other data."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mono2many import recipe, train
from mono2many.cli import main
from mono2many.errors import InputError
from mono2many.evaluate.photometric import Prediction, reconstruct
from mono2many.evaluate.report.views import view_maps
from mono2many.evaluate.scale import Look, from_path, refuse_other_motion
from mono2many.types import Batch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step on a video, with a best model and a learnt camera."""
    place = tmp_path_factory.mktemp("run")
    main(["street", str(place / "s.mp4"), "--frames", "10", "--height", "64", "--width", "96"])
    video = {"data": place / "s.mp4", "camera": "learn", "hold_out_frames": 4, "height": 64, "width": 96}
    optim = {"steps": 1, "batch_size": 1, "cache": "off", "name": "r", "out": place}
    return train(recipe("scratch", "video", **video, **optim))


def test_the_best_model_of_a_run_is_scored_on_the_runs_own_data(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["evaluate", "--model", str(run / "best/../best/"), "--device", "cpu"])
    said = capsys.readouterr().out
    assert "photometric" in said
    assert "4 images" in said
    assert "was trained on" not in said
    monkeypatch.chdir(run / "best")
    main(["evaluate", "--model", ".", "--device", "cpu"])
    assert capsys.readouterr().out == said


def test_a_copy_without_its_run_is_not_scored_on_the_street_in_silence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run / "best", tmp_path / "copy")
    copy = ["evaluate", "--model", str(tmp_path / "copy"), "--device", "cpu"]
    with pytest.raises(SystemExit):
        main(copy)
    said = capsys.readouterr().err
    assert "was trained on s.mp4" in said
    assert "--datatype" in said
    main([*copy, "--datatype", "synthetic", "--test-scenes", "1", "--baseline-scenes", "1"])
    assert f"{tmp_path / 'copy'} was trained on s.mp4; scored on synthetic" in capsys.readouterr().out


def test_data_of_a_run_that_have_moved_are_named_with_the_runs_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "r")
    settings = tmp_path / "r" / "run.json"
    settings.write_text(settings.read_text().replace("s.mp4", "gone.mp4"))
    with pytest.raises(SystemExit):
        main(["evaluate", "--model", str(tmp_path / "r" / "best")])
    said = capsys.readouterr().err
    assert f"data in {settings}" in said
    assert "gone.mp4" in said
    assert said.count("\n") == 1


def test_a_report_of_footage_shows_frame_disparity_views_and_error(run: Path, tmp_path: Path) -> None:
    main(["evaluate", "--model", str(run / "best"), "--report", str(tmp_path / "r.html"), "--device", "cpu"])
    page = (tmp_path / "r.html").read_text()
    shown = re.findall(r"<figcaption>(.*?)</figcaption>", page)
    whole = [
        "frame",
        "disparity",
        "synthesised from frame -1",
        "synthesised from frame +1",
        "photometric error",
    ]
    assert all(name in shown for name in whole)
    assert page.count("data:image/jpeg;base64,") == len(shown) == 2 * len(whole) + 2 * (len(whole) - 1)
    assert "Worst 2" in page
    assert "http" not in page.replace("http-equiv", "")


def pair(depth: float) -> Prediction:
    """A wall, and the camera moved sideways by an eighth of its depth times the width over the focal length:
    the neighbour's image is the target's, moved by 4 pixels."""
    target = torch.rand(1, 3, 32, 64)
    target = torch.nn.functional.avg_pool2d(target, 5, 1, 2)
    source = target.roll(-4, 3)[:, None]
    k = torch.tensor([[[32.0, 0, 31.5], [0, 32.0, 15.5], [0, 0, 1]]])
    moved = torch.eye(4)[None, None].clone()
    moved[..., 0, 3] = -1.0  # 32 * 1 / 8 = 4 pixels
    batch = Batch(
        target,
        source,
        torch.ones(1, 1, dtype=torch.bool),
        k,
        k[:, None],
        target,
        source,
        (1,),
        torch.zeros(1, dtype=torch.int64),
    )
    return Prediction(batch, torch.full((1, 32, 64), depth), moved)


def test_a_right_depth_makes_the_frame_from_its_neighbour_and_the_error_map_is_dark() -> None:
    right, wrong = (next(view_maps([pair(depth)])) for depth in (8.0, 2.0))
    inside = (slice(None), slice(2, -2), slice(8, -8))
    frame, view = right["frame"][inside].int(), right["synthesised from frame +1"][inside].int()
    assert (frame - view).abs().max() <= 2
    error, worse = (maps["photometric error"][inside].float().mean() for maps in (right, wrong))
    assert error < 0.2 * worse
    assert not bool(right["synthesised from frame +1"][:, :, :3].any())  # its neighbour does not see that
    made, _ = reconstruct(pair(8.0))
    assert not bool(made.seen[0, 0, :, :3].any())


def test_a_scale_says_what_is_really_wrong() -> None:
    back = Look(0, 0, torch.tensor([0.0, 0.0, -1.0]), torch.ones(2, 8))
    with pytest.raises(InputError, match="drives ahead in none of 2 frames"):
        refuse_other_motion([back, back])
    refuse_other_motion([back, Look(0, 1, torch.tensor([0.0, 0.0, 1.0]), torch.ones(2, 8))])
    import numpy as np

    with pytest.raises(InputError, match="model predicts a path of 0 where the file has 6 metres"):
        from_path(np.zeros(3), np.full(3, 2.0))


def test_inputs_are_asked_for_before_torch_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)  # to import it fails
    for name in [n for n in sys.modules if n.startswith("mono2many.") and n.count(".") == 2]:
        if name.split(".")[1] in ("train", "evaluate", "predict") and not name.endswith(
            ("settings", "recipes")
        ):
            monkeypatch.delitem(sys.modules, name)
    for words in (
        "predict gone.png",
        "predict a.png --model gone",
        "predict a.png --camera gone.json",
        "train --datatype video --data gone.mp4 --fov 60",
        "train --datatype video --data a.png --camera gone.json",
        "train --start-from gone",
        "train --model many --teacher gone",
        "check --datatype rgbd --data gone",
        "evaluate --model gone",
        "evaluate --datatype kitti_eigen --predictions gone.npy",
        "evaluate --model starter --datatype ddad --data gone",
        "prepare video gone.mp4",
        "import-weights gone --out new",
        "info gone",
    ):
        with pytest.raises(SystemExit):
            main(words.split())
        said = capsys.readouterr().err
        assert "gone" in said, words
        assert "no such file" in said, words
        assert said.count("\n") == 1, words


def test_prepare_proposes_what_works_without_a_network(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(run.parent / "s.mp4", tmp_path / "my street.mp4")
    lists = ["--out", str(tmp_path / "lists"), "--shortest", "5"]
    main(["prepare", "video", str(tmp_path / "my street.mp4"), *lists])
    (command,) = re.findall(r"(?m)^  (mono2many train .*)$", capsys.readouterr().out)
    import shlex

    from mono2many.commands.data import parse_with_data
    from mono2many.train.recipes import recipe
    from mono2many.train.settings import TrainConfig
    from mono2many.train.setup import fetched_weights

    words = shlex.split(command)[2:]
    config = parse_with_data(TrainConfig, "mono2many train", words, "training", recipe("default", "video"))
    assert config.run.start_from == "starter"
    assert fetched_weights(config) == ""
    assert all(path.exists() for path in config.dataset.sources)
    assert (config.data.height / config.data.width) == pytest.approx(64 / 96, rel=0.5)
    assert fetched_weights(recipe("default", "video")) == "resnet18"
