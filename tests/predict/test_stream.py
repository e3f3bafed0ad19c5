"""A film's frames, one after the other, against all of them at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono2many.errors import InputError
from mono2many.geometry.align import refine_motion
from mono2many.geometry.pose import invert
from mono2many.io.camera_file import Camera, camera_from_intrinsics
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture
from mono2many.models.chain import chained_motion
from mono2many.models.checkpoint import ModelCard
from mono2many.models.many import ManyDepth
from mono2many.models.mono import MonoDepth
from mono2many.predict.files import predict_files
from mono2many.predict.predictor import Predictor
from mono2many.street.reader import StreetSettings, SyntheticReader

MANY = ManyArchitecture("light", "light", pose_type="light", hypotheses=8)
STREET = SyntheticReader(StreetSettings(2, 5, 64, 96), "test")
K = STREET.frame(0, 0).intrinsics


def lively(model: ManyDepth) -> ManyDepth:
    """Weights through which input shows in the output, and a motion that the sweep notices."""
    with torch.no_grad():
        for module in model.depth.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        model.pose.trunk.out.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 5.0, 0.0, 2.0]))  # type: ignore[union-attr, operator]
    return model.eval()


def predictor_of(**change: object) -> Predictor:
    torch.manual_seed(0)
    architecture = replace(MANY, **change)  # type: ignore[arg-type]
    return Predictor(lively(ManyDepth(architecture)), ModelCard(architecture, 64, 96))


@pytest.fixture(scope="module")
def film() -> list[Tensor]:
    return [STREET.frame(0, i).image for i in range(5)]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return predictor_of()


@pytest.mark.parametrize("matching", [(-1,), (-1, -2), (-1, 1, -3), (-2,), (1,)])
@pytest.mark.parametrize("pose_type", ["light", "posecnn"])
def test_a_stream_gives_what_all_frames_at_once_give(
    film: list[Tensor], matching: tuple[int, ...], pose_type: str
) -> None:
    predictor = predictor_of(matching=matching, pose_type=pose_type)
    many, stream = predictor.model, predictor.stream(K.numpy())
    assert isinstance(many, ManyDepth)
    for now, image in enumerate(film):
        beside = [film[now + o] if 0 <= now + o <= now else torch.zeros_like(image) for o in matching]
        exists = torch.tensor([[0 <= now + o <= now for o in matching]])
        with torch.no_grad():
            wanted = many.disparity(
                image[None] / 255, torch.stack(beside)[None] / 255, exists, K[None]
            )  # a frame ahead is absent
        torch.testing.assert_close(stream(image).disparity, wanted[0], rtol=1e-4, atol=1e-5)


def test_a_stream_matches_and_its_first_frame_is_a_single_one(
    film: list[Tensor], predictor: Predictor
) -> None:
    stream = predictor.stream(K)
    assert torch.equal(stream(film[0]).depth, predictor(film[0]).depth)
    second = stream(film[1])
    assert (second.depth / predictor(film[1]).depth - 1).abs().median() > 0.001
    assert second.depth.isfinite().all()


def test_each_frames_features_and_each_pairs_motion_are_computed_once(film: list[Tensor]) -> None:
    predictor = predictor_of(matching=(-1, -2, -3))
    seen = {"features": 0, "motion": 0}
    many = predictor.model
    assert isinstance(many, ManyDepth)
    count = lambda name: lambda *_: seen.update({name: seen[name] + 1})  # noqa: E731
    many.depth.encoder.stages[0].register_forward_hook(count("features"))  # type: ignore[union-attr, index]
    many.pose.register_forward_hook(count("motion"))
    stream = predictor.stream(K)
    for image in film:
        stream(image)
    assert seen == {"features": 5, "motion": 4}


def test_of_a_repeated_frame_the_depth_stays_and_then_matching_goes_on(film: list[Tensor]) -> None:
    predictor = predictor_of(matching=(-1, -2))
    stream = predictor.stream(K)
    noisy = [(film[2] + torch.randint(-1, 2, film[2].shape)).clamp(0, 255).to(torch.uint8) for _ in range(30)]
    moving = [stream(image).depth for image in film[:3]]
    standing = [stream(film[2]).depth for _ in range(30)]
    assert all(torch.equal(depth, predictor(film[2]).depth) for depth in standing[1:])
    assert not torch.equal(moving[-1], standing[-1])
    for image in noisy:
        assert torch.equal(stream(image).depth, predictor(image).depth)
    again = stream(film[3]).depth
    assert not torch.equal(again, predictor(film[3]).depth)


def test_after_a_cut_nothing_of_the_other_scene_is_remembered(film: list[Tensor]) -> None:
    predictor = predictor_of(matching=(-1, -2))
    other = [STREET.frame(1, i).image for i in range(3)]
    stream, fresh = predictor.stream(K), predictor.stream(K)
    for image in film:
        stream(image)
    for image in other:
        assert torch.equal(stream(image).depth, fresh(image).depth)


def test_the_camera_is_that_of_the_frames_own_size(film: list[Tensor], predictor: Predictor) -> None:
    cropped = predictor_of()
    cropped.card = replace(cropped.card, crop_bottom=0.5)
    k = K.clone()
    k[:2] *= 2  # of pictures twice as large
    k[:2, 2] += 0.5  # pixel centres
    torch.testing.assert_close(predictor.camera(k, (128, 192)), K)
    torch.testing.assert_close(cropped.camera(k, (256, 192)), K)
    large = [F.interpolate(image[None], scale_factor=2)[0] for image in film[:2]]
    streams = predictor.stream(k), cropped.stream(k)
    for image in large:
        one, part = (s(x) for s, x in zip(streams, (image, torch.cat([image, image], 1)), strict=True))
    torch.testing.assert_close(part.disparity[:128], one.disparity, rtol=1e-4, atol=1e-5)


def test_with_flip_both_sides_are_streamed(film: list[Tensor], predictor: Predictor) -> None:
    plain, mirrored = predictor.stream(K, flip=True), predictor.stream(K, flip=True)
    for image in film[:3]:  # its camera looks through the middle
        a, b = plain(image).disparity, mirrored(image.flip(-1)).disparity
    torch.testing.assert_close(b.flip(-1)[:, 12:-12], a[:, 12:-12], rtol=1e-4, atol=1e-5)
    assert not torch.equal(a, predictor.disparity(film[2][None], flip=True)[0])


def test_mistakes_are_told_with_the_remedy(film: list[Tensor], predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"--camera FILE\.json or --fov"):
        predictor.stream()
    with pytest.raises(InputError, match=r"shape \(4, 4\), wanted 3x3"):
        predictor.stream(np.eye(4))
    stream = predictor.stream(K)
    stream(film[0])
    with pytest.raises(InputError, match="a frame is 96x32, the video's first was 96x64"):
        stream(film[1][:, :32])
    with pytest.raises(InputError, match="must be RGB"):
        stream(film[1].float())


def test_a_monodepth_streams_without_a_camera(film: list[Tensor]) -> None:
    light = MonoArchitecture("light", "light", scales=1, pose_type="light")
    predictor = Predictor(MonoDepth(light), ModelCard(light, 64, 96, scale="metres", factor=3.0))
    found = predictor.stream()(film[0])
    assert torch.equal(found.depth, predictor(film[0]).depth)
    assert found.scale == "metres"


def test_a_folder_and_a_film_are_streamed_and_single_images_are_not(
    film: list[Tensor], predictor: Predictor, tmp_path: Path
) -> None:
    with VideoWriter(tmp_path / "film.mp4", 10.0) as video:
        for i, image in enumerate(film):
            write_image(tmp_path / "trip" / f"{i}.png", image)
            video.write(image)
    asked: list[tuple[int, int]] = []

    def camera(height: int, width: int) -> Camera:
        asked.append((height, width))
        return camera_from_intrinsics(K, (height, width))

    folder, mp4, single = (str(tmp_path / name) for name in ("trip", "film.mp4", "trip/1.png"))
    files = predict_files(predictor, [folder, single], tmp_path / "out", ["npy"], camera_of=lambda _: camera)
    stream = predictor.stream(K)
    for file, image in zip(files, film, strict=False):
        np.testing.assert_allclose(np.load(file), stream(image).depth, rtol=1e-5)
    np.testing.assert_allclose(np.load(files[-1]), predictor(film[1]).depth, rtol=1e-5)
    assert len(predict_files(predictor, [mp4], tmp_path / "out", ["npy"], camera_of=lambda _: camera)) == 5
    assert set(asked) == {(64, 96)}
    assert predict_files(predictor, [single], tmp_path / "alone")
    with pytest.raises(InputError, match="--camera"):
        predict_files(predictor, [mp4], tmp_path / "without")


@torch.no_grad()
@pytest.mark.parametrize("matching", [(-1,), (-1, -2), (-1, 1)])
def test_a_stream_refines_motion_by_the_depth_that_it_gave_before(
    film: list[Tensor], matching: tuple[int, ...]
) -> None:
    predictor = predictor_of(matching=matching, match_by="pixels")
    many, stream = predictor.model, predictor.stream(K)
    assert isinstance(many, ManyDepth)
    images = [image[None] / 255 for image in film[:3]]
    given = [stream(image).disparity[None] for image in film[:3]]
    then = [i for i in (2 + o for o in matching) if i < 2]
    links = chained_motion(
        many.pose, images[2], torch.stack([images[i] for i in then], 1), [i - 2 for i in then]
    )
    motion = torch.eye(4).repeat(1, len(matching), 1, 1)
    for place, i in enumerate(then):
        back = refine_motion(invert(links[:, place]), images[i], images[2], 1 / given[i], K[None])
        motion[:, place] = invert(back)
    features = [many.depth.features(image) for image in images]
    shown = torch.stack(
        [features[i].matching_features for i in (*then, *[2] * (len(matching) - len(then)))], 1
    )
    exists = torch.tensor([[o < 0 for o in matching]])
    wanted = many.depth(features[2], shown, motion, exists, K[None])
    torch.testing.assert_close(given[2], many.depth.disparity(wanted.sigmoids[0]), rtol=1e-4, atol=1e-5)
    assert not torch.equal(motion[:, : len(then)], links)
