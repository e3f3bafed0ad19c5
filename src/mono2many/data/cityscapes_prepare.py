"""The command `prepare cityscapes`: the same tree in small, without the hood, for `--datatype cityscapes`."""

import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from mono2many.data.cityscapes import Snippet, read_snippets
from mono2many.data.kitti_files import MARKER
from mono2many.data.street_tree import Jobs, made
from mono2many.io.images import resize_image, write_image
from mono2many.types import InputError, Split


def prepare_cityscapes(
    root: Path,
    out: Path,
    splits: Sequence[Split],
    width: int = 1024,
    workers: int = 2,
    allow_missing: bool = False,
    console: Console | None = None,
) -> list[Snippet]:
    """Write every frame once, `width` wide and without the hood, as JPEG, with its snippet's camera file and
    disparity. Files that are there stay: stopped anywhere, it goes on. InputError where `root` is no
    Cityscapes, or prepared already."""
    snippets = [s for s in read_snippets(root, splits, allow_missing) if s.files]
    if not snippets or snippets[0].camera.prepared or out.resolve() == root.resolve():
        what = "has no pictures of these splits" if not snippets else "is prepared already, or --out itself"
        raise InputError(f"{root}: {what}; name the folder where Cityscapes was unpacked: --data")
    if (root / MARKER).exists():
        shutil.copyfile(root / MARKER, made(out / MARKER))
    jobs = Jobs(partial(write_snippet, out, width), snippets)
    done = DataLoader(jobs, batch_size=None, num_workers=workers)
    for mistake in track(done, "shrinking snippets", len(snippets), console=console, transient=True):
        if mistake is not None:
            raise mistake
    return snippets


def write_snippet(out: Path, width: int, snippet: Snippet) -> None:
    """Camera file last: where it is, the pictures are."""
    camera, source = snippet.camera, snippet.path("camera")
    height = round(min(width, camera.whole[1]) * camera.kept[0] / camera.kept[1])
    size = height, min(width, camera.whole[1])
    about = json.dumps({**json.loads(source.read_text(encoding="utf-8")), "prepared": size})
    target = made(out / source.relative_to(snippet.root))
    if target.exists() and target.read_text(encoding="utf-8") != about:
        raise InputError(f"{target}: is of another preparation; give a new folder with --out")
    for path in snippet.files.values():
        small = out / "leftImg8bit_sequence" / snippet.split / snippet.city / f"{path.stem}.jpg"
        if not small.exists():
            part = small.with_name(f".part_{small.name}")
            write_image(part, resize_image(camera.picture(path), size))
            os.replace(part, small)
    disparity = snippet.path("disparity")
    if disparity.exists():
        shutil.copyfile(disparity, made(out / disparity.relative_to(snippet.root)))
    target.write_text(about, encoding="utf-8")
