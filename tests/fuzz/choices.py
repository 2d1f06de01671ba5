"""Choices that bytes make: the same bytes, the same input."""

import random

__all__ = ["Choices", "bytes_of"]


def bytes_of(seed, count):
    """Bytes that a seed stands for."""
    return random.Random(seed).randbytes(count)


class Choices:
    """Reads choices off bytes; behind their end every choice is the first."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def below(self, bound):
        """An integer from 0 to ``bound - 1``."""
        value = 0
        for _ in range(max(1, (bound - 1).bit_length() + 7 >> 3)):
            byte = self._data[self._at] if self._at < len(self._data) else 0
            value, self._at = value << 8 | byte, self._at + 1
        return value % bound

    def among(self, options):
        return options[self.below(len(options))]

    def one_in(self, count):
        """True in one of ``count`` cases; False behind the end of the bytes."""
        return self.below(count) == count - 1
