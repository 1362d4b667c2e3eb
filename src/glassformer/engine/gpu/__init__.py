"""The quick twin of a model on a GPU: a step is recorded once, and played again for every token."""
