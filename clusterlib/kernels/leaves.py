"""The one number that every ordered sum over rows shares."""

__all__ = ["LEAF_ROWS"]

LEAF_ROWS = 4096
"""Rows of a leaf: they are added one after the other, leaves by a pairwise tree."""
