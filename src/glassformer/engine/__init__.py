"""The fast path: the same answers, from packed weights, in few calls."""
