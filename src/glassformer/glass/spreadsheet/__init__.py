"""The formulas as a spreadsheet's cells write them."""
