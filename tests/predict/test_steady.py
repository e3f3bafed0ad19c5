"""Steady depth and the standard deviation of log depth, on streets whose depth and motion are exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mono2many.cli import main
from mono2many.errors import InputError
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict.confidence import Cues, fit_std, log_cue, log_depth_std, single_frame_cues
from mono2many.predict.files import predict_files
from mono2many.predict.inputs import camera_source
from mono2many.predict.predictor import Predictor
from mono2many.predict.steady import (
    AGREEMENT,
    KEPT,
    SCALE_KEPT,
    Reprojection,
    SteadyState,
    blend,
    reproject_frame,
)
from small_models import FILM, LIGHT, MANY, K, lively


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(lively(MonoDepth(LIGHT)), ModelCard(LIGHT, 64, 96))


def constant(value: float) -> Tensor:
    return torch.full((1, 8, 10), value)


def reprojection(log_ratio: Tensor, static: bool = True) -> Reprojection:
    seen = torch.ones_like(log_ratio, dtype=torch.bool)
    return Reprojection(log_ratio, seen, seen & static)


def test_a_whole_frame_that_is_too_near_is_moved_to_the_scale_of_the_one_before() -> None:
    # of ln 1.1, SCALE_KEPT as a whole, and of the rest KEPT (the weight's fall is below 1 part in 10,000)
    ratio = constant(np.log(1.1))
    kept = SCALE_KEPT + (1 - SCALE_KEPT) * KEPT
    torch.testing.assert_close(
        blend(constant(5.0), reprojection(ratio)), constant(5 * 1.1**kept), rtol=1e-4, atol=0
    )


def test_what_disagrees_moves_or_is_not_seen_takes_the_new_depth() -> None:
    depth = constant(5.0)
    assert torch.equal(blend(depth, reprojection(constant(2.1 * AGREEMENT))), depth)
    assert torch.equal(blend(depth, reprojection(constant(0.1), static=False)), depth)
    half = constant(0.0)
    half[..., 5:] = 1.0  # an object that is e times nearer than what was there
    assert torch.equal(blend(depth, reprojection(half)), depth)


def test_an_image_that_lies_where_it_lay_is_not_static_while_the_camera_moves() -> None:
    torch.manual_seed(0)
    image, step, depth = torch.rand(1, 3, 24, 40), torch.eye(4)[None], torch.full((1, 24, 40), 2.0)
    step[:, 0, 3] = 0.5  # of 20 pixels focal length: 5 pixels at a depth of 2
    k = torch.tensor([[[20.0, 0, 19.5], [0, 20, 11.5], [0, 0, 1]]])
    with_camera = reproject_frame(depth, image, depth, image, step, k)
    assert with_camera.seen[..., :34].all()
    assert with_camera.static[..., :34].float().mean() < 0.05
    in_world = reproject_frame(depth, image, depth, image.roll(5, -1), step, k)
    assert in_world.static[:, 4:-4, 4:30].all()


def test_noise_of_a_video_is_more_than_halved(predictor: Predictor) -> None:
    assert isinstance(predictor.model, MonoDepth)
    follower, rng = SteadyState(predictor.model, K, 1.0, steady=True), torch.Generator().manual_seed(0)
    for _ in range(12):  # a static camera
        noise = 0.05 * torch.randn(1, 8, 12, generator=rng)
        noisy = torch.exp(noise.repeat_interleave(8, 1).repeat_interleave(8, 2))
        follower(predictor.inputs([FILM[0]]), noisy / 10)
    assert follower.before.read().flicker == pytest.approx(0.05, rel=0.15)
    assert follower.after.read().flicker < 0.5 * follower.before.read().flicker


def test_the_first_frame_and_the_first_after_a_cut_are_predicted_alone(predictor: Predictor) -> None:
    stream = predictor.stream(K, steady=True)
    cut = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (3, 64, 96), dtype=np.uint8))
    found = [stream(image).depth for image in (*FILM[:2], cut)]
    alone = [predictor(image).depth for image in (*FILM[:2], cut)]
    assert [torch.equal(*pair) for pair in zip(found, alone, strict=True)] == [True, False, True]


def test_a_repeated_frame_keeps_its_depth(predictor: Predictor) -> None:
    stream = predictor.stream(K, steady=True)
    depths = [stream(FILM[0]).depth for _ in range(3)]
    torch.testing.assert_close(depths[2], depths[0])


def test_fitted_coefficients_are_those_of_the_errors() -> None:
    rng = torch.Generator().manual_seed(0)
    cue = torch.randn(20_000, 1, generator=rng)
    t = torch.randn(5, 20_000, generator=rng)
    error = torch.exp(-1 + 0.5 * cue[:, 0]) * t[0] / t[1:].square().mean(0).sqrt()  # Student's, 4 degrees
    assert fit_std(cue, error) == pytest.approx([-1, 0.5], abs=0.03)


def test_the_deviation_grows_with_what_predictions_disagree_by() -> None:
    same, other = constant(0.1), constant(0.1)
    other[..., 5:] *= 1.2
    assert torch.allclose(log_cue(same.log() - same.log()).exp(), constant(0.003))
    found = log_depth_std(single_frame_cues(same, other))[0, 4]
    assert found[9] > found[0] > 0
    cues = single_frame_cues(same, same)
    seen = torch.zeros(1, 8, 10, dtype=torch.bool)
    unseen = cues._replace(motion=constant(0.0), motion_seen=seen)
    assert torch.equal(log_depth_std(unseen), log_depth_std(cues))
    assert bool((log_depth_std(unseen._replace(motion_seen=~seen)) > log_depth_std(cues)).all())
    assert isinstance(cues, Cues)


def test_std_comes_where_it_is_asked_for(predictor: Predictor) -> None:
    assert predictor(FILM[0]).std is None
    alone = predictor(FILM[0], std=True)
    assert torch.equal(alone.depth, predictor(FILM[0]).depth)
    assert alone.std is not None
    assert alone.std.shape == (64, 96)
    assert bool((alone.std > 0).all())
    stream, plain = predictor.stream(K, std=True), predictor.stream(std=True)
    first, second = (stream(image).std for image in FILM[:2])
    torch.testing.assert_close(first, alone.std)
    unmoved = [plain(image).std for image in FILM[:2]][1]
    assert not torch.allclose(second, unmoved)


def test_a_manydepth_is_held_steady_and_has_deviations() -> None:
    torch.manual_seed(0)
    many = Predictor(lively(ManyDepth(MANY)), ModelCard(MANY, 64, 96))
    stream = many.stream(K, steady=True, std=True)
    found = [stream(image) for image in FILM[:3]][-1]
    assert found.std is not None
    assert found.std.isfinite().all()
    assert found.depth.isfinite().all()


def test_the_command_writes_and_prints(
    predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(tmp_path / "model", predictor.model, predictor.card)  # type: ignore[arg-type]
    for frames in (1, 2, 4):
        with VideoWriter(tmp_path / f"{frames}.mp4", 10.0) as film:
            for image in FILM[:frames]:
                film.write(image)
    words = ["predict", *(str(tmp_path / f"{n}.mp4") for n in (1, 2, 4)), "--model", str(tmp_path / "model")]
    main([*words, "--out", str(tmp_path / "out"), "--fov", "80", "--steady", "--save", "std", "std-colour"])
    said = capsys.readouterr().out
    assert "1.mp4: no two frames of one scene: nothing to hold steady" in said
    assert said.count("flicker") == 2
    std = np.load(tmp_path / "out" / "4" / "000003_std.npy")
    assert std.shape == (64, 96)
    assert (tmp_path / "out" / "4" / "000003_std.png").exists()


def test_what_cannot_be_held_steady_is_refused(
    predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "house.png", FILM[0])
    house, camera = [str(tmp_path / "house.png")], camera_source(None, 80.0)
    with pytest.raises(InputError, match=r"house\.png is a single image, wanted a video"):
        predict_files(predictor, house, tmp_path, steady=True, camera_of=camera)
    with pytest.raises(InputError, match="steady depth follows the camera's motion"):
        predictor.stream(steady=True)
    for words, wanted in (
        (["--steady"], "--steady follows the camera's motion: add --camera"),
        (["--steady", "--fov", "80", "--poses", "kitti"], "writes only with --save"),
    ):
        with pytest.raises(SystemExit):
            main(["predict", *house, *words])
        assert wanted in capsys.readouterr().err
