"""Killed, stopped, out of disk: a run goes on as if nothing had happened."""

import subprocess
import sys
from pathlib import Path


def test_a_run_killed_three_times_ends_with_the_weights_of_an_uninterrupted_one_bit_for_bit(
    tmp_path: Path,
) -> None:
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.split()[-1] == "3"
