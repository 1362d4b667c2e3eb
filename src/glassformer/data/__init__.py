"""From files to padded tensors: readers, the batch, and batches of like length."""
