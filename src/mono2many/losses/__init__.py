"""Losses: plain functions that return one value per pixel; weights and reduction live in objective.py."""
