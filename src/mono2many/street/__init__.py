"""The procedural world: streets drawn with exact depth, motion and camera."""
