"""Checkpoints that other programs wrote for themselves, read as ours."""
