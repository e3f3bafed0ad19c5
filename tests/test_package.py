"""What a user installs: the wheel, built from the source archive, outside the repository, with all its data
files."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_the_wheel_works_outside_the_repository(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(REPOSITORY),
    ]
    subprocess.run(build, check=True, capture_output=True)
    # without --wheel: the source archive first, and the wheel from that
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    source = REPOSITORY / "src"
    tracked = {p for p in (source / "mono2many").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert {str(p.relative_to(source)) for p in tracked} <= names
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names}
    unpacked = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(unpacked)
    # -I keeps the repository out; the wheel's own files come first
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import mono2many\n"
        "from importlib.resources import files\n"
        "page = files('mono2many.evaluate.report')\n"
        "assert all(page.joinpath(name).read_text() for name in ('page.html.jinja', 'report.css'))\n"
        f"assert mono2many.__file__.startswith({str(unpacked)!r}), mono2many.__file__\n"
        "from mono2many.street.reader import StreetSettings, SyntheticReader\n"
        "street = SyntheticReader(StreetSettings(scenes=1, height=64, width=96), 'test')\n"
        "print(street.frame(0, 0).image.shape)\n"
        "assert mono2many.load('starter', 'cpu').card.has_pose\n"
        "from mono2many.cli import main; main(['--version'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"torch.Size([3, 64, 96])\nmono2many {_version()}\n"


def _version() -> str:
    from mono2many import __version__

    return __version__
