"""Trees of the procedural street in another data set's layout are marked, so that no figure made on one
passes for a figure of the real data."""

from pathlib import Path

MARKER = "SYNTHETIC.json"
"""In the root of a tree that shows the procedural street."""
SYNTHETIC = "SYNTHETIC: the procedural street in a data set's layout, not the real data"
"""Said of all that is made on such a tree."""


def marked_synthetic(path: Path) -> bool:
    """Whether a tree (or the file in its root) is marked as the procedural street's."""
    return ((path.parent if path.is_file() else path) / MARKER).exists()
