"""Estimators that move rows onto others by optimal transport."""

__all__ = []
