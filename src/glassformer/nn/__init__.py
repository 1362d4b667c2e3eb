"""The parts of the transformer: one set for every family."""
