"""Whether the anchor does what it is for."""

import json
import subprocess
import sys
from pathlib import Path


def test_in_stop_and_go_traffic_a_good_start_stays_good_with_the_anchor_and_is_lost_without(
    tmp_path: Path,
) -> None:
    script = Path(__file__).with_name("anchored.py")  # a process of its own, where no shape is checked
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["start"] < 0.35  # sees depth
    assert found["anchored"] <= 1.2 * found["start"]
    assert found["free"] >= 1.5 * found["start"]
