"""The command `info`: what a model folder says of its model."""

import re
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text
from safetensors import safe_open

from mono2many.models.architecture import ManyArchitecture
from mono2many.models.checkpoint import ModelCard, load_model, read_card
from mono2many.models.starter import best_of
from mono2many.predict.exported import ExportNotes, read_notes
from mono2many.terminal import say, text_console


def info(name: str, console: Console | None = None, last: bool = False) -> None:
    """Print a model's card, and README.md where its folder has one. The weights are loaded: InputError for
    those that are damaged."""
    console = console or text_console()
    folder = best_of(name, last)
    card, notes, sizes = read_card(folder), read_notes(folder), dict[str, float]()
    if notes is None:
        model, card = load_model(folder)
        sizes = {n: sum(p.numel() for p in net.parameters()) / 1e6 for n, net in model.named_children()}
    front, text = readme(folder)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in {
        "folder": str(folder),
        "networks": _networks(card),
        "parameters": ", ".join(f"{name} {millions:.2f} M" for name, millions in sizes.items()),
        "on disk": _on_disk(folder / "model.safetensors") if notes is None else _exported(folder, notes),
        "difference of depth": _difference(notes),
        "sizes": ", ".join(f"{w}x{h}" for h, w in card.sizes or ((card.height, card.width),)),
        "depth": _depth(card),
        "trained on": card.trained_on,
        "has seen": ", ".join(card.seen) if len(card.seen) < 9 else f"{len(card.seen)} lines of frames",
        "licence": front.get("license", "" if notes is None else notes.licence),
    }.items():
        if row[1]:
            table.add_row(*map(Text, row))
    console.print(table)
    if text:
        say(console, f"\n{text}")


def _networks(card: ModelCard) -> str:
    a = card.architecture
    kind = f"ManyDepth by {a.match_by}" if isinstance(a, ManyArchitecture) else "MonoDepth"
    pose = f"pose {a.pose_type}" if card.has_pose else "no pose"
    return f"{kind}: encoder {a.encoder}, decoder {a.decoder}, {pose}"


def _on_disk(weights: Path) -> str:
    with safe_open(weights, "pt") as file:
        half = "F16" in {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return f"{weights.stat().st_size / 1e6:.1f} MB, {'float16' if half else 'float32'}"


def _exported(folder: Path, notes: ExportNotes) -> str:
    """Files of the parts; OpenVINO's weights lie beside them."""
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix != ".json")
    return f"{notes.format}, {notes.precision}: {', '.join(notes.parts)}; {size / 1e6:.1f} MB"


def _difference(notes: ExportNotes | None) -> str:
    """From the model that was exported."""
    parity = None if notes is None else notes.parity
    return "" if parity is None else f"{parity}, on {parity.frames} frames"


def _depth(card: ModelCard) -> str:
    a = card.architecture
    if card.scale != "metres":
        return f"{card.scale}, {a.min_depth:g} to {a.max_depth:g} of its unit"
    spread = "" if card.factor_spread is None else f" ± {100 * card.factor_spread:.1f} %"
    return f"in metres: {card.factor:.4g} of its unit{spread}, from {card.factor_from}"


def readme(folder: Path) -> tuple[dict[str, str], str]:
    """Of a model folder's README.md the front matter (`key: value` between two lines of ---), and what comes
    after it; empty where there is none."""
    path = folder / "README.md"
    text = path.read_text() if path.exists() else ""
    found = re.match(r"---\n(.*?)\n---\n+", text, re.DOTALL)
    if found is None:
        return {}, text.strip()
    lines = re.findall(r"^([\w-]+): *(.+?) *$", found[1], re.MULTILINE)
    return dict(lines), text[found.end() :].strip()
