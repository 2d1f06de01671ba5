"""The main job on real data, beside scikit-learn: ``python -m clusterlib.demo``."""

from clusterlib.demo.command import main

__all__ = ["main"]
