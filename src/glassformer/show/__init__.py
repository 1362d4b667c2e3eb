"""A trace shown: as a walk in the terminal, as JSON, as one web page.

Nothing here computes what a model computes.
"""
