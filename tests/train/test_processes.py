"""Several processes are one training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

GRADIENTS = str(Path(__file__).with_name("gradients.py"))
FAILING = str(Path(__file__).with_name("failing.py"))
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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of four steps by the command, in two processes."""
    out = tmp_path_factory.mktemp("processes")
    flags = (
        "--recipe scratch --devices 2 --device cpu --scenes 4 --val-scenes 2 --scene-frames 3 --height 64 "
        "--width 64 --steps 4 --batch-size 4 --log-every 2 --val-every 2 --out"
    )
    python("-m", "mono2many", "train", *flags.split(), str(out))
    return out / "mono"


def logged(run: Path, event: str) -> list[int]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["event"] == event]


def test_the_command_starts_its_own_processes_and_only_the_first_writes(run: Path) -> None:
    assert logged(run, "train") == logged(run, "val") == [2, 4]
    assert (run / "checkpoints" / "step-00000004.pt").exists()


def test_the_first_process_decides_from_what_a_run_is_resumed(run: Path) -> None:
    python(FAILING, str(run.parent), "6", "resume")
    assert logged(run, "train") == [2, 4, 6]
    assert (run / "checkpoints" / "step-00000006.pt").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_in_one_process_ends_both_with_one_line(tmp_path: Path, rank: int) -> None:
    """A process that waited for the other would wait for ever: until the tests' limit."""
    done = subprocess.run(
        [sys.executable, FAILING, str(tmp_path), "500", str(rank)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert not (tmp_path / "mono" / "checkpoints" / "step-00000500.pt").exists()
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if "damaged" in line or "Error" in line] == [
        f"mono2many train: frame {rank} is damaged"
    ]


def test_ctrl_c_stops_both_and_one_line_says_how_to_continue(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FAILING, str(tmp_path), "500", "stop"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "stopped" in line] == [
        f"mono2many train: stopped; saved at step 10; continue with: "
        f"mono2many train --out {tmp_path} --name mono --resume"
    ]
    assert done.returncode == 130
    assert (tmp_path / "mono" / "checkpoints" / "step-00000010.pt").exists()
