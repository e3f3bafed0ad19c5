"""Several processes are one training."""

import json
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

GRADIENTS = str(Path(__file__).with_name("gradients.py"))
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def python(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_with_half_the_batch_each_have_the_gradients_of_one_with_all(tmp_path: Path) -> None:
    python(GRADIENTS, str(tmp_path / "one"), "1")
    python(*TORCHRUN, GRADIENTS, str(tmp_path / "two"), "2")
    one, two = load_file(tmp_path / "one"), load_file(tmp_path / "two")
    assert one.keys() == two.keys()
    assert len(one) > 100
    for kind in ("mono", "floor", "many", "pixels"):
        names = [name for name in one if name.startswith(f"{kind}.")]
        largest = max(float(one[name].abs().max()) for name in names)
        assert largest > 1e-3
        for name in names:
            assert float((one[name] - two[name]).abs().max()) < 1e-5 * max(1.0, largest), name


def test_the_command_starts_its_own_processes_and_only_the_first_writes(tmp_path: Path) -> None:
    python(
        *("-m", "mono2many", "train", "--recipe", "scratch", "--devices", "2", "--device", "cpu"),
        *("--scenes", "4", "--val-scenes", "2", "--scene-frames", "3", "--height", "64", "--width", "64"),
        *(
            "--steps",
            "4",
            "--batch-size",
            "4",
            "--log-every",
            "2",
            "--val-every",
            "2",
            "--out",
            str(tmp_path),
        ),
    )
    lines = [json.loads(line) for line in (tmp_path / "mono" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "train"] == [2, 4]
    assert [line["step"] for line in lines if line["event"] == "val"] == [2, 4]
    assert (tmp_path / "mono" / "checkpoints" / "step-00000004.pt").exists()
