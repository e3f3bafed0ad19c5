"""What the command `learn` measures, decides and does."""
