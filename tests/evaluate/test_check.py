import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch.nn import functional as F

from mono2many.data.measure import PairMeasures
from mono2many.datasets.choice import DataConfig
from mono2many.datasets.video import VideoTraining
from mono2many.errors import InputWarning
from mono2many.evaluate.check import camera, check, masked, motion, pairs_to_see, samples, shape, shares
from mono2many.evaluate.settings import CheckConfig
from mono2many.geometry.camera import intrinsics_matrix
from mono2many.io.images import write_image
from mono2many.types import FrameSequence

FILM = FrameSequence("a.mp4", 100, size=(720, 1280))


def config(footage=None, **more):
    data = {} if footage is None else {"data": DataConfig("video"), "dataset": footage}
    return CheckConfig(**data | {"height": 64, "width": 160} | more)


def pictures(folder, lefts):
    """A camera that passes a wall of random texture, at these pixels."""
    wall = torch.rand(1, 3, 16, 200, generator=torch.Generator().manual_seed(0))
    wall = F.interpolate(wall, scale_factor=4, mode="bicubic").clamp(0, 1)[0]
    for i, left in enumerate(lefts):
        write_image(folder / f"{i}.png", (wall[..., left : left + 160] * 255).to(torch.uint8))
    return VideoTraining((str(folder),), fov=60.0)


def run(settings):
    console = Console(width=100, record=True, file=io.StringIO())
    return check(settings, console), console.export_text()


def measures(**values):
    usual = {"difference": 0.05, "shift": 0.01, "most": 0.02, "agreement": 0.9, "brightness": 0.0}
    return PairMeasures(**{name: torch.as_tensor(values.get(name, [v] * 4)) for name, v in usual.items()})


def test_a_camera_that_moves_steadily_is_fine(tmp_path):
    fine, text = run(config(pictures(tmp_path / "walk", range(0, 80, 4))))
    assert fine
    assert "2.5% of the width (4.0 px)" in text  # 4 of 160
    assert "problem" not in text


def test_a_camera_that_stands_is_a_problem_and_the_figures_are_written(tmp_path):
    data = pictures(tmp_path / "still", [7] * 16)
    fine, text = run(config(data, json=str(tmp_path / "new" / "found.json")))
    assert not fine
    assert "100.0% of the pairs" in text
    assert "mono2many prepare video" in text
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    verdicts = {finding["name"]: finding["verdict"] for finding in found["findings"]}
    assert verdicts["repeated"] == verdicts["motion"] == "problem"
    assert verdicts["camera"] == "ok"
    assert found["quantiles"]["most"]["0.5"] == pytest.approx(0, abs=1e-6)


def test_pictures_that_are_not_in_order_are_a_problem(tmp_path):
    order = [0, 300, 600, 150, 450] * 4
    fine, text = run(config(pictures(tmp_path / "mixed", order)))
    assert not fine
    assert "images out of order?" in text


def test_the_street_is_fine():
    fine, text = run(config(frames=4))
    assert fine
    assert "50.0% of 128 samples lack a neighbour" in text  # 32 streets of 4 frames


def test_pairs_lie_in_short_runs_all_over_the_clips():
    clips = [FrameSequence("a", 10), FrameSequence("b", 3), FrameSequence("c", 200)]
    assert pairs_to_see(clips[:2], 2, 100) == [((0, i), (0, i + 2)) for i in range(8)] + [((1, 0), (1, 2))]
    seen = pairs_to_see(clips, 1, 80)
    assert len(seen) == len(set(seen)) == 80
    assert len({place for pair in seen for place in pair}) <= 93  # far fewer than 160 frames
    assert seen[0] == ((0, 0), (0, 1))
    assert seen[-1][0][1] > 180


@pytest.mark.parametrize(
    ("fx", "fy", "cx", "verdict"),
    [
        (640, 640, 639.5, "ok"),  # 90 degrees
        (640, 960, 639.5, "problem"),  # pixels that are not square
        (5000, 5000, 639.5, "problem"),  # 15 degrees
        (100, 100, 639.5, "problem"),  # 162 degrees
        (1900, 1900, 639.5, "look"),  # 37 degrees
        (640, 640, 400.0, "problem"),  # 19 % of the width off
    ],
)
def test_a_camera_is_judged_at_the_films_own_size(fx, fy, cx, verdict):
    settings = config(height=192, width=640)
    k = intrinsics_matrix(fx / 2, fy * 192 / 720, (cx + 0.5) / 2 - 0.5, 191 / 2)
    finding = camera(k, FILM, (settings.height, settings.width))
    assert finding.verdict == verdict
    assert bool(finding.remedy) == (verdict != "ok")


def test_a_phone_held_upright_is_judged_by_its_longer_side():
    # 720x1280, 65 degrees down: 40 across, which would be unusual for a camera held level
    clip, focal = FrameSequence("upright", 100, size=(1280, 720)), 640 / math.tan(math.radians(32.5))
    finding = camera(intrinsics_matrix(focal, focal, 359.5, 639.5), clip, (1280, 720))
    assert (finding.verdict, finding.figure[:20]) == ("ok", "sees 65 degrees down")


def test_the_optical_axis_is_not_moved_by_cutting_off_the_bottom():
    # 360 of 720 rows are left, 180 at training size: the axis is at the last one
    k = intrinsics_matrix(320.0, 320.0, 319.5, 179.5)
    assert camera(k, FILM, (180, 640), crop_bottom=0.5).verdict == "ok"


def test_a_squeezed_picture_gets_a_fitting_height():
    finding = shape(FILM, config(height=192, width=640))
    assert (finding.verdict, finding.figure) == ("look", "1280x720 to 640x192")
    assert "--height 352" in finding.remedy  # 360, to a multiple of 32
    assert shape(FILM, config(height=352, width=640)).verdict == "ok"
    assert shape(FILM, config(height=1088, width=1920)).verdict == "look"


def test_little_motion_asks_for_a_longer_step_and_much_for_a_shorter_one():
    assert motion(measures(), 1, 640).verdict == "ok"
    little = motion(measures(most=[0.00752] * 4), 1, 640)
    assert (little.verdict, little.figure) == ("look", "0.8% of the width (4.8 px)")
    assert "--frame-step 2" in little.remedy
    much = motion(measures(most=[0.1] * 4), 5, 640)
    assert much.verdict == "problem"
    assert "--frame-step 1" in much.remedy
    assert "frames/s" in motion(measures(most=[0.1] * 4), 1, 640).remedy


def test_standing_pairs_and_repeated_pairs_are_told_apart():
    found = measures(difference=[0.0, 0.05, 0.05, 0.05], most=[0.0, 0.0, 0.0, 0.02])
    again, still, *_ = shares(found, torch.ones(4), 1)
    assert again.figure == "25.0% of the pairs"
    assert still.figure == "50.0% of the pairs"


def test_jumps_of_brightness_count_in_both_directions():
    finding = shares(measures(brightness=[0.1, -0.1, 0.01, 0.0]), torch.ones(4), 1)[3]
    assert finding.figure == "50.0% of the pairs jump"
    assert finding.verdict == "problem"


def test_fewer_samples_than_a_batch_are_a_problem():
    assert [samples(n).verdict for n in (11, 12, 500)] == ["problem", "look", "ok"]


@pytest.mark.parametrize(("low", "high"), [(51230, 52170), (0, 4095)])
def test_images_of_16_bits_with_few_levels_are_that_and_no_matter_of_frame_steps(tmp_path, low, high):
    footage = pictures(tmp_path / "thermal", range(0, 80, 4))
    for path in (tmp_path / "thermal").iterdir():
        grey = np.asarray(Image.open(path))[..., 0].astype(float) / 255
        Image.fromarray((low + (high - low) * grey).astype(np.uint16)).save(path)
    with pytest.warns(InputWarning, match=r"of 65535 levels .*-level"):
        fine, text = run(config(footage))
    assert not fine
    assert "of 256 grey levels are used" in text
    assert "frame-step" not in text
    assert "prepare video" not in text


def test_the_remedy_belongs_to_the_data_set():
    """A list of images is not a video that can be prepared."""
    bad = measures(difference=[0.0, 0.0, 0.05, 0.05], agreement=[0.0] * 4)
    sharp = torch.tensor([1.0, 1.0, 1.0, 0.01])
    video = [f.remedy for f in shares(bad, sharp, 1, "mono2many prepare video VIDEO")]
    assert "mono2many prepare video VIDEO leaves them out" in video
    listed = [f.remedy for f in [*shares(bad, sharp, 1), samples(5)]]
    assert "train on a list without them" in listed
    assert not any("prepare video" in remedy or "footage" in remedy for remedy in listed)


def test_a_mask_is_named_with_its_share():
    mask = torch.ones(8, 8, dtype=torch.bool)
    mask[6:] = False
    found = masked(mask)
    assert (found.figure, found.verdict) == ("25.0% of the image is left out", "ok")
