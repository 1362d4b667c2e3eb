"""From a recipe and batches to trained weights, as a stream of records and a folder that survives a kill."""
