"""Every number of a run: named once, with the formula that makes it, checked."""
