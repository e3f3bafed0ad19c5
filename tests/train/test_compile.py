"""--compile: the objective becomes one graph, with the values and gradients of the hand-written kernels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mono2many.models.architecture import MonoArchitecture
from mono2many.train.plan import plan_at
from mono2many.train.recipes import recipe


def test_objectives_and_refined_poses_are_one_graph_of_the_same_value(tmp_path: Path) -> None:
    words = [sys.executable, str(Path(__file__).with_name("compiled.py")), str(tmp_path / "found.json")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    everything = json.loads((tmp_path / "found.json").read_text())
    found, (nodes, difference, refined) = everything["losses"], everything["refinement"]
    assert nodes < 1100, "eighteen times the same step"
    assert difference < 1e-5 < 1e-2 < refined
    assert [*found] == ["default", "reference", "scratch", "features", "pixels"]
    for name, (exact, ours, cosine) in found.items():
        assert exact > 0
        # a ManyDepth's teacher has the mean over the auto-mask, which a few pixels pass by rounding
        near = 1e-5 if name in ("default", "reference", "scratch") else 5e-3
        assert ours == pytest.approx(exact, rel=near), name
        assert ours != exact, name  # other kernels
        assert cosine > 0.999, name


def test_the_flag_reaches_the_step() -> None:
    light = MonoArchitecture("light", "light")
    assert plan_at(recipe("default", compile=True), light, 0.0).compile
    assert not plan_at(recipe("default"), light, 0.0).compile
