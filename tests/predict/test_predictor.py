from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mono2many import Predictor, load
from mono2many.errors import InputError
from mono2many.evaluate.scale import find_scale
from mono2many.evaluate.settings import ScaleConfig
from mono2many.models.architecture import MonoArchitecture
from mono2many.models.checkpoint import ModelCard, save_model
from mono2many.models.mono import MonoDepth
from mono2many.predict.predictor import blend_mirrored

LIGHT = MonoArchitecture("light", "light", scales=1, pose_type="light")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, MonoDepth(LIGHT), ModelCard(LIGHT, 64, 96))
    return load(folder, "cpu")


def test_depth_comes_at_the_pictures_own_size_with_what_it_is_known_up_to(predictor: Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)
    found = predictor(image)
    assert found.depth.shape == found.disparity.shape == (50, 71)
    torch.testing.assert_close(found.depth * found.disparity, torch.ones(50, 71))
    assert found.scale == "up to scale"
    assert (found.depth >= 0.1).all()
    assert (found.depth <= 100.01).all()


def test_numpy_and_torch_pictures_give_the_same_and_so_do_batches(predictor: Predictor) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    assert torch.equal(predictor(image).depth, predictor(tensor).depth)
    both = predictor.disparity(torch.stack([tensor, tensor.flip(-1)]))
    torch.testing.assert_close(both[0], predictor(tensor).disparity, rtol=1e-4, atol=1e-6)


def test_with_flip_a_mirrored_picture_has_the_mirrored_depth_in_the_middle(predictor: Predictor) -> None:
    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    plain, mirrored = (predictor.disparity(x, flip=True)[0] for x in (image, image.flip(-1)))
    torch.testing.assert_close(mirrored.flip(-1)[:, 12:-12], plain[:, 12:-12], rtol=1e-4, atol=1e-6)


def test_the_blend_is_that_of_the_reference_program(parity: dict[str, torch.Tensor]) -> None:
    ours = blend_mirrored(parity["post_plain"], parity["post_unmirrored"])
    torch.testing.assert_close(ours, parity["post_result"], rtol=1e-5, atol=1e-7)


def test_the_left_end_is_the_mirrored_ones_the_right_end_the_plain_ones_the_middle_their_mean() -> None:
    blended = blend_mirrored(torch.full((1, 2, 101), 1.0), torch.full((1, 2, 101), 3.0))
    wanted = torch.tensor([3.0, 3, 2, 2, 2, 1, 1])
    torch.testing.assert_close(blended[0, 0, [0, 5, 10, 50, 90, 95, 100]], wanted)


def test_what_training_cut_off_below_is_continued_from_the_row_above(predictor: Predictor) -> None:
    cropped = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, crop_bottom=0.2))
    image = torch.randint(0, 256, (3, 80, 96), dtype=torch.uint8)
    disparity = cropped(image).disparity
    assert torch.equal(disparity[64:], disparity[63:64].expand(16, -1))
    torch.testing.assert_close(disparity[:64], predictor(image[:, :64]).disparity)


def test_pictures_of_different_sizes_in_one_batch_give_what_each_gives_alone(predictor: Predictor) -> None:
    cropped = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, 0.2, "metres", 7.0))
    sizes = [(80, 96), (50, 71), (100, 200)]
    pictures = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]
    together = cropped.from_inputs(cropped.inputs(pictures), flip=True)
    assert together.shape == (3, 64, 96)
    for picture, one in zip(pictures, together, strict=True):
        alone = cropped.disparity(picture[None], flip=True)
        torch.testing.assert_close(
            cropped.at_size(one[None], picture.shape[-2:]), alone, rtol=1e-4, atol=1e-6
        )


def test_pictures_are_resized_in_the_way_that_the_card_names(predictor: Predictor) -> None:
    image = torch.randint(0, 256, (3, 128, 200), dtype=torch.uint8)
    lanczos = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, 0.5, resize="lanczos"))
    pillow = Image.fromarray(image[:, :64].permute(1, 2, 0).numpy()).resize(
        (96, 64), Image.Resampling.LANCZOS
    )
    wanted = torch.from_numpy(np.array(pillow)).permute(2, 0, 1) / 255
    assert torch.equal(lanczos.inputs([image])[0], wanted)
    bilinear = Predictor(predictor.model, ModelCard(LIGHT, 64, 96)).inputs([image])[0]
    plain = torch.nn.functional.interpolate(
        image[None] / 255, (64, 96), mode="bilinear", align_corners=False, antialias=True
    )
    # whole grey levels, as the frames that training caches: see io.images.resize_image
    torch.testing.assert_close(bilinear * 255, (bilinear * 255).round(), rtol=0, atol=1e-4)
    assert ((bilinear - plain[0]).abs() * 255).max() < 1.5


def test_what_is_no_rgb_picture_is_refused_with_the_remedy(predictor: Predictor) -> None:
    for wrong in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(InputError, match=r'must be RGB.*convert\("RGB"\)'):
            predictor(wrong)


def test_the_first_picture_decides_the_size_of_a_model_with_several(predictor: Predictor) -> None:
    several = Predictor(predictor.model, ModelCard(LIGHT, 64, 96, sizes=((64, 96), (64, 192))))
    square, wide = (torch.randint(0, 256, (3, 50, w), dtype=torch.uint8) for w in (50, 150))
    assert several.inputs([wide, square]).shape == (2, 3, 64, 192)
    assert several.inputs([square, wide]).shape == (2, 3, 64, 96)
    assert several(wide).depth.shape == (50, 150)
    one = Predictor(predictor.model, ModelCard(LIGHT, 64, 192))
    assert torch.equal(several(wide).depth, one(wide).depth)
    k = torch.tensor([[30.0, 0, 74.5], [0, 30, 24.5], [0, 0, 1]])
    assert torch.equal(several.camera(k, (50, 150)), one.camera(k, (50, 150)))


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (1, 2000), (2000, 1), (50, 4000)])
def test_a_picture_of_any_shape_has_a_finite_depth_at_each_pixel(
    predictor: Predictor, size: tuple[int, int]
) -> None:
    depth = predictor(torch.randint(0, 256, (3, *size), dtype=torch.uint8)).depth
    assert depth.shape == size
    assert depth.isfinite().all()


def test_depth_that_is_not_finite_stops_the_prediction() -> None:
    model = MonoDepth(LIGHT)
    for weight in model.depth.decoder.parameters():
        weight.data.fill_(torch.inf)
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    broken = Predictor(model, ModelCard(LIGHT, 64, 96))
    for predict in (broken, broken.stream()):
        with pytest.raises(InputError, match=r"depths that are not finite and positive.*another checkpoint"):
            predict(image)


def test_a_runs_folder_means_its_best_model_unless_the_last_is_asked_for(tmp_path: Path) -> None:
    last, best = MonoDepth(LIGHT), MonoDepth(LIGHT)
    for folder, model in ((tmp_path, last), (tmp_path / "best", best)):
        save_model(folder, model, ModelCard(LIGHT, 64, 96))

    def loads(predictor: Predictor, model: MonoDepth) -> bool:
        return all(torch.equal(v, predictor.model.state_dict()[k]) for k, v in model.state_dict().items())

    assert loads(load(tmp_path, "cpu"), best)
    assert loads(load(tmp_path / "best", "cpu"), best)
    assert loads(load(tmp_path, "cpu", last=True), last)
    # its metres are those of the model that is then predicted with
    find_scale(ScaleConfig(str(tmp_path), scale_from=("factor", "5"), device="cpu"), Console(quiet=True))
    assert [load(tmp_path, "cpu", last).card.factor for last in (False, True)] == [5.0, 1.0]
    (tmp_path / "best" / "config.json").unlink()  # half of it is not a model
    assert loads(load(tmp_path, "cpu"), last)
