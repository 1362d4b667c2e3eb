"""How an answer follows from the last step of its run."""
