"""Score the newest model on KITTI's test lists: `python model_test.py`."""

from mono2many.commands.flags import parse
from mono2many.evaluate.settings import ModelTestConfig


def run(arguments: list[str]) -> None:
    config = parse(ModelTestConfig, "model_test.py", arguments)
    from mono2many.evaluate.model_test import model_test

    model_test(config)
