"""mono2many: self-supervised depth and camera motion from ordinary video."""

__version__ = "0.1.0"
