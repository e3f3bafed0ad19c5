"""Every command knows the same devices and answers alike where one is not there."""

import pytest
import torch

from mono2many import cli
from mono2many.devices import pick_bf16, pick_device
from mono2many.errors import InputError

COMMANDS = (
    ("train", "--datatype", "synthetic"),
    ("evaluate", "--model", "starter"),
    ("predict", "photo.jpg"),
    ("learn", "video.mp4"),
    ("reconstruct", "video.mp4"),
    ("bench",),
    ("serve",),
)


def test_a_device_is_there_or_named() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(
            InputError, match=r"--device cuda: torch sees no such device here; use .* cpu or auto"
        ):
            pick_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(InputError, match="--device mps: torch sees no such device"):
            pick_device("mps")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_has_the_same_choice(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--device", "tpu"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(device in said for device in ("auto", "cpu", "cuda", "mps")), said


def test_mixed_precision_is_asked_for_or_found() -> None:
    assert pick_bf16("bf16", "cpu")
    assert not pick_bf16("fp32", "cuda")
    assert not pick_bf16("auto", "mps")
