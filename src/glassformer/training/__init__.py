"""From a recipe and batches to trained weights: a stream of records, and a run folder that survives being killed."""
