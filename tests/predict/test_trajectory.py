"""Pose networks that always say the same: the way they lead can be drawn by hand."""

import contextlib
import io
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mono2many.cli import main
from mono2many.errors import InputError
from mono2many.io.camera_file import Camera
from mono2many.io.images import read_image, write_image
from mono2many.io.trajectories import read_kitti_poses
from mono2many.io.videos import VideoWriter
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture, PoseInput, PoseType
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.models.pose import OUTPUT_SCALE, NoPose
from mono2many.predict.predictor import Predictor
from mono2many.predict.trajectory import knows_camera, predict_trajectories, trajectory

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")
FRAMES = [torch.randint(0, 256, (3, 50, 70), dtype=torch.uint8) for _ in range(6)]


def says(motion: list[float], architecture: MonoArchitecture = LIGHT, **card: object) -> Predictor:
    """later_from_earlier: three angles, then the shift of points."""
    model = MonoDepth(architecture)
    out = model.pose.trunk.out if hasattr(model.pose.trunk, "out") else model.pose.trunk.head[-1]  # type: ignore[index]
    out.weight.data.zero_()  # type: ignore[union-attr]
    out.bias.data = torch.tensor(motion * (out.bias.numel() // 6)) / OUTPUT_SCALE  # type: ignore[union-attr]
    return Predictor(model, ModelCard(architecture, 64, 96, **card))  # type: ignore[arg-type]


def places(poses: Tensor) -> list[list[float]]:
    return poses[:, :3, 3].tolist()


def test_points_that_come_a_metre_nearer_are_a_camera_that_goes_a_metre_ahead() -> None:
    found = places(trajectory(says([0, 0, 0, 0, 0, -1]), FRAMES))
    assert [z for _, _, z in found] == pytest.approx([0, 1, 2, 3, 4, 5])
    metric = says([0, 0, 0, 0, 0, -1], scale="metres", factor=5.0)
    assert places(trajectory(metric, FRAMES))[-1] == pytest.approx([0, 0, 25])


def test_four_steps_with_a_quarter_turn_lead_back_along_a_square() -> None:
    """Points turn left and come nearer: the camera turns right and, as it looks then, goes ahead."""
    found = trajectory(says([0, -math.pi / 2, 0, 0, 0, -1]), FRAMES[:5])
    for place, wanted in zip(
        places(found), [[0, 0, 0], [1, 0, 0], [1, 0, -1], [0, 0, -1], [0, 0, 0]], strict=True
    ):
        assert place == pytest.approx(wanted, abs=1e-5)
    torch.testing.assert_close(found[4], torch.eye(4).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("pose_type", ["separate", "shared", "posecnn", "light"])
@pytest.mark.parametrize("pose_input", ["pairs", "all"])
def test_every_pose_network_leads_the_same_way_in_batches_of_any_size(
    pose_type: PoseType, pose_input: PoseInput
) -> None:
    kinds = replace(LIGHT, pose_type=pose_type, pose_input=pose_input, pose_encoder="light")
    predictor = Predictor(MonoDepth(kinds), ModelCard(kinds, 64, 96))
    one, four = (trajectory(predictor, FRAMES, batch_size=size) for size in (1, 4))
    assert one.shape == (6, 4, 4)
    torch.testing.assert_close(one, four, atol=1e-6, rtol=1e-4)
    straight = trajectory(says([0, 0, 0, 0, 0, -1], kinds), FRAMES)
    if pose_type != "posecnn":  # whose step depends on what the depth network says
        assert float(straight[-1, 2, 3]) == pytest.approx(5)
    assert float(straight[-1, 2, 3]) > 0


def test_several_frames_take_the_motion_of_their_pose_network() -> None:
    kinds = ManyArchitecture("light", "light", scales=1, pose_type="light", hypotheses=4)
    model = ManyDepth(kinds)
    mono = Predictor(model.as_mono(), ModelCard(kinds, 64, 96))
    torch.testing.assert_close(
        trajectory(Predictor(model, ModelCard(kinds, 64, 96)), FRAMES), trajectory(mono, FRAMES)
    )


def test_a_learnt_cameras_sideways_steps_are_those_of_the_camera_that_looks() -> None:
    """Twice the focal length: the same shift in the picture is half as far to the side."""
    predictor = says([0, 0, 0, -1, 0, 0], replace(LIGHT, cameras=1))
    assert predictor.model.cameras is not None
    k = torch.tensor([[60.0, 0, 47.5], [0, 60, 31.5], [0, 0, 1]])
    predictor.model.cameras.start_from(k[None], 64, 96)
    assert places(trajectory(predictor, FRAMES))[-1] == pytest.approx([5, 0, 0], abs=1e-4)

    def camera(height: int, width: int) -> Tensor:
        return torch.tensor([[120 * width / 96, 0, 0], [0, 120 * height / 64, 0], [0, 0, 1]])

    assert places(trajectory(predictor, FRAMES, camera))[-1] == pytest.approx([2.5, 0, 0], abs=1e-4)


def test_a_film_and_a_folder_become_files_with_their_times_and_a_picture(tmp_path: Path) -> None:
    predictor = says([0, 0, 0, 0, 0, -1], scale="metres", factor=2.0)
    with VideoWriter(tmp_path / "film.mp4", fps=5.0) as film:
        for number, frame in enumerate(FRAMES):
            film.write(frame)
            write_image(tmp_path / "folder" / f"{number}.png", frame)
    inputs = [str(tmp_path / "film.mp4"), str(tmp_path / "folder")]
    files = predict_trajectories(predictor, inputs, tmp_path / "out", ["kitti", "tum"])
    assert [f.name for f in files] == [
        f"{name}{end}"
        for name in ("folder", "film")
        for end in ("_poses.txt", "_poses.tum", "_trajectory.png")
    ]
    assert read_kitti_poses(files[0])[:, 2, 3].tolist() == pytest.approx([0, 2, 4, 6, 8, 10])
    for tum, step in ((files[1], 1.0), (files[4], 0.2)):
        rows = np.loadtxt(tum)
        assert rows[:, 0].tolist() == pytest.approx([step * i for i in range(6)])
        assert rows[-1, 3] == pytest.approx(10)
    assert read_image(files[2]).shape[0] == 3


def test_a_trajectorys_time_begins_with_the_video_and_passes_as_in_it(tmp_path: Path) -> None:
    times = [5.0, 5.04, 5.2, 5.24, 5.3, 5.4]  # of a recorder that runs on
    with VideoWriter(tmp_path / "film.mp4", 25.0, times) as film:
        for frame in FRAMES:
            film.write(frame)
    files = predict_trajectories(says([0, 0, 0, 0, 0, -1]), [str(tmp_path / "film.mp4")], tmp_path, ["tum"])
    wanted = pytest.approx([0.0, 0.04, 0.2, 0.24, 0.3, 0.4], abs=1e-4)
    assert np.loadtxt(files[0])[:, 0].tolist() == wanted


def test_only_a_refined_trajectory_is_called_metric(tmp_path: Path) -> None:
    predictor = says([0, 0, 0, 0, 0, -1], scale="metres", factor=2.0)
    for number, frame in enumerate(FRAMES[:2]):
        write_image(tmp_path / "trip" / f"{number}.png", frame)

    def camera(display: object) -> Callable[[int, int], Camera]:
        return lambda height, width: Camera(width, height, 60.0, 60.0, 34.5, 24.5)

    for refine, name in ((False, "trip_poses.txt"), (True, "trip_poses_metres.txt")):
        out = tmp_path / name
        first, _ = predict_trajectories(
            predictor, [str(tmp_path / "trip")], out, ["kitti"], 4, camera, refine
        )
        assert first.name == name


def closing_line(folder: Path, *flags: str) -> str:
    """Of `predict --poses kitti`, without what stands before its first semicolon."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        words = ["predict", str(folder / "trip"), "--model", str(folder / "model"), "--poses", "kitti"]
        main([*words, "--out", str(folder / "out"), *flags])
    return printed.getvalue().strip().partition("; ")[2]


def test_the_command_refines_where_it_knows_the_camera_and_says_what_the_unit_is(tmp_path: Path) -> None:
    for number, frame in enumerate(FRAMES[:2]):
        write_image(tmp_path / "trip" / f"{number}.png", frame)
    metric, plain = (says([0, 0, 0, 0, 0, -1], scale=scale) for scale in ("metres", "up to scale"))
    save_model(tmp_path / "model", metric.model, metric.card)
    unknown, remedy = "the trajectory is known up to scale", "it is in metres"
    camera = "with --camera FILE.json or --fov DEGREES"
    assert closing_line(tmp_path) == f"{unknown}; {camera} {remedy}"
    assert closing_line(tmp_path, "--fov", "80") == "the trajectory is in metres"
    assert closing_line(tmp_path, "--fov", "80", "--no-refine-motion") == (
        f"{unknown}; without --no-refine-motion {remedy}"
    )
    assert closing_line(tmp_path, "--save", "npy") == f"depth is in metres; {unknown}; {camera} {remedy}"
    with pytest.raises(SystemExit):
        closing_line(tmp_path, "--refine-motion")
    save_model(tmp_path / "model", plain.model, plain.card)
    assert closing_line(tmp_path, "--fov", "80") == unknown


def test_a_single_learnt_camera_is_known_and_several_are_not() -> None:
    for count, known in ((1, True), (2, False)):
        predictor = says([0, 0, 0, 0, 0, -1], replace(LIGHT, cameras=count))
        assert knows_camera(predictor, None) == known
    assert not knows_camera(says([0, 0, 0, 0, 0, -1]), None)


def test_a_camera_that_nothing_reads_is_said_to_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = says([0, 0, 0, 0, 0, -1])
    save_model(tmp_path / "model", predictor.model, predictor.card)
    write_image(tmp_path / "one.png", FRAMES[0])
    words = ["predict", str(tmp_path / "one.png"), "--model", str(tmp_path / "model")]
    for flags, said in ((["--fov", "65"], "--fov changes nothing: depth of single frames"), ([], "")):
        main([*words, *flags, "--out", str(tmp_path / "out")])
        assert capsys.readouterr().err.strip().startswith(said)


def test_one_image_has_no_way_and_a_model_without_motion_says_so(tmp_path: Path) -> None:
    predictor = says([0, 0, 0, 0, 0, -1])
    write_image(tmp_path / "one.png", FRAMES[0])
    with pytest.raises(InputError, match="two frames or more"):
        predict_trajectories(predictor, [str(tmp_path / "one.png")], tmp_path, ["kitti"])
    predictor.model.pose = NoPose()
    with pytest.raises(InputError, match=r"pose_encoder\.pth"):
        trajectory(predictor, FRAMES)


def test_steps_that_are_refined_follow_the_pictures_where_the_network_saw_nothing() -> None:
    """A wall that moves a pixel and a half to the left from frame to frame, seen by a network that says: no
    motion. Moved or turned: what matters is where it says that the wall is seen."""
    x, y = torch.meshgrid(torch.arange(96.0), torch.arange(64.0), indexing="xy")
    film = [waves(x + 1.5 * i, y) for i in range(4)]
    predictor = says([0, 0, 0, 0, 0, 0])
    head = predictor.model.depth.decoder.heads[0]  # type: ignore[index, union-attr]
    for values in head.parameters():  # type: ignore[union-attr]
        values.data.zero_()  # the same depth everywhere
    depth = float(predictor(film[0]).depth.mean())
    k = torch.tensor([[60.0, 0, 47.5], [0, 60, 31.5], [0, 0, 1]])
    still = trajectory(predictor, film, lambda height, width: k)
    torch.testing.assert_close(still, torch.eye(4).double().repeat(4, 1, 1))
    poses = trajectory(predictor, film, lambda height, width: k, refine=True)
    wall = torch.tensor([0.0, 0.0, depth, 1.0]).double()
    for before, now in pairwise(poses):
        seen = torch.linalg.inv(now) @ before @ wall
        assert 60 * float(seen[0] / seen[2]) == pytest.approx(-1.5, abs=0.1)
        assert 60 * float(seen[1] / seen[2]) == pytest.approx(0, abs=0.1)
    learnt = says([0, 0, 0, 0, 0, 0], replace(LIGHT, cameras=1))
    learnt.model.load_state_dict(predictor.model.state_dict(), strict=False)
    assert learnt.model.cameras is not None
    learnt.model.cameras.start_from(k[None], 64, 96)
    torch.testing.assert_close(trajectory(learnt, film, refine=True), poses, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match="--refine-motion needs the camera"):
        trajectory(predictor, film, refine=True)


def test_what_is_fixed_to_the_camera_does_not_hold_a_trajectory_back(tmp_path: Path) -> None:
    """The wall above a bonnet that fills the lower half."""
    x, y = torch.meshgrid(torch.arange(96.0), torch.arange(64.0), indexing="xy")
    film = [torch.where(y < 32, waves(x + 1.5 * i, y), waves(x, y)) for i in range(4)]
    predictor = says([0, 0, 0, 0, 0, 0])
    for values in predictor.model.depth.decoder.heads[0].parameters():  # type: ignore[index, union-attr]
        values.data.zero_()
    depth = float(predictor(film[0]).depth.mean())
    write_image(tmp_path / "mask.png", torch.where(y < 32, 255, 0).to(torch.uint8).expand(3, 64, 96))
    for number, image in enumerate(film):
        write_image(tmp_path / "film" / f"{number}.png", image)
    wall, last = torch.tensor([0.0, 0.0, depth, 1.0]).double(), []
    camera = Camera(96, 64, 60.0, 60.0, 47.5, 31.5)
    for mask in (None, str(tmp_path / "mask.png")):
        files = predict_trajectories(
            predictor,
            [str(tmp_path / "film")],
            tmp_path,
            ["kitti"],
            camera_of=lambda display: lambda height, width: camera,
            refine=True,
            mask=mask,
        )
        seen = torch.linalg.inv(torch.as_tensor(read_kitti_poses(files[0])[-1]).double()) @ wall
        last.append(60 * float(seen[0] / seen[2]))
    assert last[0] == pytest.approx(-4.5, abs=0.5), "found without a mask, too"
    assert last[1] == pytest.approx(-4.5, abs=0.1)


def waves(x: Tensor, y: Tensor) -> Tensor:
    grey = 0.5 + 0.2 * torch.sin(x / 9) * torch.cos(y / 8) + 0.2 * torch.sin((x + 2 * y) / 19)
    return (255 * grey).round().to(torch.uint8).expand(3, 64, 96)
