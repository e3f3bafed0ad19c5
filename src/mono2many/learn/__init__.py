"""From a video of one's own to its depth: what the command `learn` decides and does."""
