"""Depth and trajectory of a whole video in one place: points, meshes, and a page that shows them."""
