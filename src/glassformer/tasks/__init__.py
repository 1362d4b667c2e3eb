"""Text in, answer out: one file for each task."""
