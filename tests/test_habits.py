"""Flags of other programs are answered with the one that this program has, and that one exists."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

import pytest

from mono2many.cli import COMMANDS as OURS
from mono2many.cli import main
from mono2many.commands import habits
from mono2many.commands.flags import flags_of
from mono2many.commands.predict import PredictConfig
from mono2many.datasets import DATASETS
from mono2many.evaluate.settings import EvaluateConfig, ScaleConfig
from mono2many.train.settings import TrainConfig


def flags_with_data(config: Any, use: str) -> set[str]:
    """Of a command, with those of all data sets that it reads."""
    parts = [getattr(config, f.name) for f in fields(config) if f.name != "dataset"]
    kinds = [kind for d in DATASETS.values() if (kind := getattr(d, use)) is not None]
    names = [f.name for kind in (config, *filter(is_dataclass, parts), *kinds) for f in fields(kind)]
    return {"--" + name.replace("_", "-") for name in names}


FLAGS = {
    "train": flags_with_data(TrainConfig(), "training"),
    "evaluate": flags_with_data(EvaluateConfig(), "scoring"),
    "predict": flags_of(PredictConfig),
    "scale": flags_with_data(ScaleConfig("a"), "settings"),
}


def negated(flag: str, flags: set[str]) -> bool:
    return flag.replace("--no-", "--", 1) in flags


@pytest.mark.parametrize(("command", "table"), habits.OWN.items())
def test_each_flag_that_stands_in_for_another_exists(command: str, table: Mapping[str, str]) -> None:
    for theirs, text in table.items():
        other = re.match(r"mono2many (\w+)", text)
        flags = FLAGS[other[1] if other else command]
        named = habits.named_flags(text)
        assert all(flag in flags or negated(flag, flags) for flag in named), (theirs, named - flags)
        assert theirs.replace("_", "-") not in FLAGS[command], f"{theirs} exists"


def test_a_flag_for_every_command_is_named_where_it_exists_only() -> None:
    assert all(
        any(habits.named_flags(text) <= flags for flags in FLAGS.values()) for text in habits.EVERY.values()
    )
    assert habits.here("mono2many train", "--num-workers", FLAGS["train"]) == "here it is --workers"
    assert habits.here("mono2many predict", "--num-workers", FLAGS["predict"]) is None


def test_a_command_of_theirs_names_one_of_ours() -> None:
    assert {text.split()[0] for text in habits.COMMANDS.values()} <= set(OURS)
    for name in OURS:
        assert name not in habits.COMMANDS
        assert callable(import_module(f"mono2many.commands.{name.replace('-', '_')}").run)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --num_layers 18 --height 64", "--num_layers: here it is --encoder resnet18"),
        ("train --num-layers=18", "--num-layers=18: here it is --encoder resnet18"),
        ("train --frame_ids 0 -1 1", "here it is --frame-step"),
        ("train --data_path kitti", "here it is --data"),
        ("train --png", "--png: needless"),
        ("train --lr 1e-4", "here it is --learning-rate"),
        ("train --imgsz 640", "here it is --height and --width"),
        ("train -m start", "-m: here it is --start-from"),
        ("evaluate --load_weights_folder w --eval_mono", "here it is --model FOLDER"),
        ("evaluate --model starter --eval_split eigen", "here it is --datatype kitti_eigen"),
        ("predict --source a.mp4", "here it is the path alone"),
        ("predict a.png -m large", "-m: here it is --model FOLDER"),
        ("predict a.png --imgsz 640", "--imgsz: needless"),
        ("predict a.png --num-workers 2", "unknown option --num-workers ("),
        ("prepare video a.mp4 --project x", "here it is --out"),
        ("eval --model x", "unknown command 'eval': here it is mono2many evaluate"),
    ],
)
def test_the_answer_is_one_line(capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    with pytest.raises(SystemExit):
        main(words.split())
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
