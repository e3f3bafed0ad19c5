import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from mono2many.cli import main
from mono2many.errors import InputError, InputWarning
from mono2many.io.camera_file import Camera
from mono2many.io.depth_files import read_depth_png16
from mono2many.io.images import read_image, write_image
from mono2many.io.undistort import Undistortion
from mono2many.io.videos import VideoWriter, probe_video
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard
from mono2many.models.mono import MonoDepth
from mono2many.predict import files as predict_module
from mono2many.predict.files import predict_files
from mono2many.predict.inputs import camera_source, list_inputs
from mono2many.predict.predictor import Predictor
from mono2many.predict.trajectory import predict_trajectories

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(MonoDepth(LIGHT), ModelCard(LIGHT, 64, 96))


def picture(height: int = 50, width: int = 70) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def test_an_image_becomes_three_files_of_its_own_size_that_agree(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_image(tmp_path / "house.png", picture())
    files = predict_files(predictor, [str(tmp_path / "house.png")], tmp_path / "out")
    assert [f.name for f in files] == ["house_depth.npy", "house_depth.png", "house_disparity.png"]
    depth = np.load(files[0])
    assert depth.shape == (50, 70)
    np.testing.assert_allclose(read_depth_png16(files[1]).numpy(), depth, rtol=1e-2)
    assert read_image(files[2]).shape == (3, 50, 70)


def test_an_image_becomes_points_and_a_mesh_and_an_unknown_camera_is_said(
    predictor: Predictor, tmp_path: Path
) -> None:
    image = picture()
    write_image(tmp_path / "house.png", image)
    names, out = [str(tmp_path / "house.png")], tmp_path / "out"
    with pytest.warns(InputWarning, match="no camera is known: a field of view of 65 degrees"):
        files = predict_files(predictor, names, out, ["ply", "glb"])
    assert [f.name for f in files] == ["house_points.ply", "house_mesh.glb"]
    depth = predictor(image).depth
    known = camera_source(None, 90.0)
    ply, glb = predict_files(predictor, names, out, ["ply", "glb"], camera_of=known)
    cloud, mesh = trimesh.load(ply), trimesh.load_scene(glb).geometry["surface"]
    points = cloud.vertices.reshape(50, 70, 3)
    np.testing.assert_allclose(points[..., 2], depth.numpy(), rtol=1e-5)
    np.testing.assert_allclose(points[0, 0, 0], depth[0, 0] * -34.5 / 35, rtol=1e-5)  # f is half the width
    assert np.array_equal(cloud.colors[:, :3], image.movedim(0, 2).reshape(-1, 3).numpy())
    np.testing.assert_allclose(mesh.vertices, cloud.vertices * (1, -1, -1), rtol=1e-5)
    with VideoWriter(tmp_path / "a.mp4", 10.0) as video:
        video.write(image)
    with pytest.raises(
        InputError, match=r"of images; of \S+a\.mp4 as a whole: mono2many reconstruct \S+a\.mp4"
    ):
        predict_files(predictor, [str(tmp_path / "a.mp4")], out, ["ply"])


def test_a_lens_that_distorts_is_undone_before_depth_is_predicted(
    predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, camera = picture(64, 96), Camera(96, 64, 60.0, 60.0, 47.5, 31.5, (-0.3, 0.1, 0.0, 0.0))
    write_image(tmp_path / "wide.png", image)
    (file,) = predict_files(
        predictor,
        [str(tmp_path / "wide.png")],
        tmp_path / "out",
        ["npy"],
        camera_of=lambda _: lambda h, w: camera,
    )
    straight = Undistortion(camera).frames(image[None])[0]
    assert not torch.equal(straight, image)
    np.testing.assert_allclose(np.load(file), predictor(straight).depth, rtol=1e-5)
    assert not np.allclose(np.load(file), predictor(image).depth, rtol=1e-3)

    values = {"width": 96, "height": 64, "fx": 60, "fy": 60, "cx": 47.5, "cy": 31.5}
    (tmp_path / "lens.json").write_text(json.dumps({**values, "distortion": [-0.3, 0.1, 0, 0]}))
    main(
        [
            "predict",
            str(tmp_path / "wide.png"),
            "--out",
            str(tmp_path / "cli"),
            "--camera",
            str(tmp_path / "lens.json"),
        ]
    )
    said = capsys.readouterr().err
    assert "outputs belong to the undistorted frames" in said
    assert "changes nothing" not in said


def test_depth_in_metres_says_so_in_its_name_and_a_16_bit_step_is_4_mm(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_image(tmp_path / "house.png", picture())
    metric = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, 0.0, "metres", 7.0))
    array, png, _ = predict_files(metric, [str(tmp_path / "house.png")], tmp_path / "out")
    assert (array.name, png.name) == ("house_depth_metres.npy", "house_depth_metres.png")
    with Image.open(png) as stored:
        assert stored.info["mono2many:scale"] == "metres"
        values = np.asarray(stored)
    np.testing.assert_allclose(values / 256, np.load(array), atol=0.5 / 256)
    (plain, *_) = predict_files(predictor, [str(tmp_path / "house.png")], tmp_path / "plain", ["npy"])
    np.testing.assert_allclose(np.load(array), 7 * np.load(plain), rtol=1e-5)


def test_kittis_server_gets_a_picture_of_the_inputs_name_in_metres_only(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_image(tmp_path / "image" / "0000000005.png", picture(352, 1216))
    metric = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, 0.0, "metres", 7.0))
    folder = [str(tmp_path / "image")]
    png, array = sorted(predict_files(metric, folder, tmp_path / "out", ["kitti", "npy"]))[::-1]
    assert png == tmp_path / "out" / "image" / "kitti" / "0000000005.png"
    wanted = np.load(array).clip(1e-3, 80)
    with Image.open(png) as stored:
        assert (stored.mode, stored.size) == ("I;16", (1216, 352))
    np.testing.assert_allclose(read_depth_png16(png).numpy(), wanted, atol=0.5 / 256 + 1e-5)
    with pytest.raises(InputError, match=r"--save kitti.*mono2many scale"):
        predict_files(predictor, folder, tmp_path / "out", ["kitti"])


def test_a_folders_images_keep_the_folders_name(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    for name in ("a2", "a10"):
        write_image(tmp_path / "trip" / f"{name}.jpg", picture())
    files = predict_files(predictor, [str(tmp_path / "trip")], tmp_path / "out", ["npy"])
    assert [str(f.relative_to(tmp_path / "out")) for f in files] == [
        "trip/a2_depth.npy",
        "trip/a10_depth.npy",
    ]


def test_a_film_becomes_a_film_twice_as_wide_with_as_many_frames(
    predictor: Predictor, tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "drive.mp4", 10.0) as film:
        for _ in range(7):
            film.write(picture(48, 80))
    (made,) = predict_files(predictor, [str(tmp_path / "drive.mp4")], tmp_path / "out")
    info = probe_video(made)
    assert (info.width, info.height, info.frames, info.fps) == (160, 48, 7, 10.0)
    files = predict_files(predictor, [str(tmp_path / "drive.mp4")], tmp_path / "still", ["npy"])
    assert [f.name for f in files][:2] == ["000000_depth.npy", "000001_depth.npy"]
    assert len(files) == 7


def test_a_video_of_uneven_times_becomes_one_whose_frames_are_shown_as_long(
    predictor: Predictor, tmp_path: Path
) -> None:
    times = [0.0, 0.04, 0.2, 0.24, 0.4]
    with VideoWriter(tmp_path / "drive.mp4", 25.0, times) as film:
        for _ in times:
            film.write(picture(48, 80))
    (made,) = predict_files(predictor, [str(tmp_path / "drive.mp4")], tmp_path / "out")
    assert probe_video(made).times == pytest.approx(times, abs=1e-4)


def test_what_is_no_picture_is_refused_by_name(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match=r"notes\.txt: neither an image nor a video"):
        predict_files(predictor, [str(tmp_path / "notes.txt")], tmp_path / "out")
    with pytest.raises(InputError, match=r"gone\.png: no such file"):
        predict_files(predictor, [str(tmp_path / "gone.png")], tmp_path / "out")


def test_inputs_that_would_overwrite_each_other_are_refused(predictor: Predictor, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_image(tmp_path / folder / "1.png", picture())
    write_image(tmp_path / "a" / "1.jpg", picture())
    both = [str(tmp_path / "a" / name) for name in ("1.png", "1.jpg")]
    with pytest.raises(InputError, match="both be written as"):
        predict_files(predictor, both, tmp_path / "out")
    with pytest.raises(InputError, match="both be written as"):
        predict_files(predictor, [str(tmp_path / "a"), f"{tmp_path}/b/../a"], tmp_path / "out")
    with pytest.raises(InputError, match="--save video writes nothing for single images"):
        predict_files(predictor, both[:1], tmp_path / "out", ["video"])


def test_inputs_of_one_name_are_told_apart_by_as_many_parents_as_they_need(tmp_path: Path) -> None:
    for place in ("d1/image_02", "d1/image_03", "d2/image_02"):
        write_image(tmp_path / place / "data" / "1.png", picture(8, 8))

    def names(*inputs: str) -> list[str]:
        return [one.name for one in list_inputs([str(tmp_path / name) for name in inputs])]

    assert names("d1/image_02/data") == ["data"]
    assert names("d1/image_02/data", "d1/image_03/data") == ["image_02_data", "image_03_data"]
    assert names("d1/image_02/data", "d2/image_02/data") == ["d1_image_02_data", "d2_image_02_data"]
    assert names("d1/image_02/data/1.png", "d1/image_02/data", "d2/image_02/data/1.png") == [
        "d1_image_02_data_1",
        "data",
        "d2_image_02_data_1",
    ]
    for name in ("a", "b"):
        with VideoWriter(tmp_path / name / "drive.mp4", 10.0) as film:
            film.write(picture(48, 64))
    assert names("a/drive.mp4", "b/drive.mp4") == ["a_drive", "b_drive"]


def test_a_folder_of_images_becomes_a_video_where_they_have_one_size(
    predictor: Predictor, tmp_path: Path
) -> None:
    for i in range(3):
        write_image(tmp_path / "trip" / f"{i}.png", picture(48, 80))
    made = predict_files(predictor, [str(tmp_path / "trip")], tmp_path / "out", ["video", "npy"])
    assert [path.name for path in made] == ["trip_depth.mp4", *(f"{i}_depth.npy" for i in range(3))]
    info = probe_video(made[0])
    assert (info.width, info.height, info.frames, info.fps) == (160, 48, 3, 25.0)
    write_image(tmp_path / "trip" / "3.png", picture(40, 80))
    with pytest.raises(InputError, match=r"0\.png is 80x48, 3\.png 80x40; wanted one size"):
        predict_files(predictor, [str(tmp_path / "trip")], tmp_path / "other", ["video"])
    assert not (tmp_path / "other").exists()


def photos(folder: Path) -> Path:
    """Three images, an unreadable one, an image."""
    for i in (1, 2, 3, 5):
        write_image(folder / f"{i}.png", picture())
    (folder / "4.HEIC").touch()
    return folder


def test_no_frame_is_matched_across_an_image_that_cannot_be_read(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lengths, real = photos(tmp_path / "trip"), list[int](), predict_module.predict_frames

    def counted(predictor, frames, *more):  # each call has a memory of its own
        part = list(frames)
        lengths.append(len(part))
        return real(predictor, iter(part), *more)

    monkeypatch.setattr(predict_module, "predict_frames", counted)
    with pytest.warns(InputWarning, match=r"4 images are read, and 1 of other kinds \(4\.HEIC\)"):
        made = predict_files(predictor, [str(folder)], tmp_path / "out", ["npy"])
    assert [path.name for path in made] == [f"{i}_depth.npy" for i in (1, 2, 3, 5)]
    assert lengths == [3, 1]
    with pytest.warns(InputWarning):
        (found,) = list_inputs([str(folder)])
    assert [time for time, _ in found.frames().frames] == [0, 1, 2, 4]
    with pytest.warns(InputWarning), pytest.raises(InputError, match="no trajectory; convert"):
        predict_trajectories(predictor, [str(folder)], tmp_path / "out", ["kitti"])


def test_folders_of_videos_and_patterns_are_inputs_and_heic_is_refused_with_its_remedy(
    tmp_path: Path,
) -> None:
    for name in ("b", "a"):
        with VideoWriter(tmp_path / "drives" / f"{name}.mp4", 10.0) as film:
            film.write(picture(48, 64))
    for inputs in (str(tmp_path / "drives"), f"{tmp_path}/dr*/*.mp4"):
        assert [one.name for one in list_inputs([inputs])] == ["a", "b"]
    (tmp_path / "photo.HEIC").touch()
    with pytest.raises(InputError, match=r"photo\.HEIC: images of this kind.*convert"):
        list_inputs([str(tmp_path / "photo.HEIC")])


def test_the_command_line_prints_a_warning_as_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos(tmp_path / "trip")
    with pytest.raises(SystemExit):
        main(["prepare", "video", str(folder), "--out", str(tmp_path)])
    warning, error = capsys.readouterr().err.strip().splitlines()
    assert warning.startswith(
        f"mono2many prepare: {folder}: 4 images are read, and 1 of other kinds (4.HEIC)"
    )
    assert error.startswith(f"mono2many prepare: {folder}: nothing is left of 4 frames")
