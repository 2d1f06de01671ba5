"""What the simulator raises."""

__all__ = ["PtxError"]


class PtxError(Exception):
    """The kernel does what no kernel may do, or what this simulator does not know."""
