"""A model in the formats that others run: one file for each."""
