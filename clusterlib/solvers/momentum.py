"""Step and momentum of a fixed-point iteration, chosen from the errors it meets."""

import math

__all__ = ["Momentum"]

_PLAIN_STEPS = 15
_PERIOD = 5
_LARGEST = 1.995
_SLACK = 0.1
_SHRINK = 0.97


class Momentum:
    """Heavy ball for alternating dual ascent of which one side is eliminated exactly.

    Alternating maximisation over f and g, over-relaxed on both sides by w, has the same errors as

    ``g_next = g + w^2 (target - g) + (w - 1)^2 (g - g_previous)``

    with f maximised exactly and ``target`` the plain next g: eliminating f from one gives the
    other, both have the characteristic equation ``(l + w - 1)^2 = l w^2 theta`` for the rate theta
    of a plain step. The best w is ``2 / (1 + sqrt(1 - theta))`` (D. M. Young 1954; for Sinkhorn
    T. Lehmann et al. 2021), and theta is read off the errors. Relaxing g alone would at most
    halve the number of steps.

    Parameters
    ----------
    noise : float
        Part of the dual value that rounding may take away from one step to the next.
    scale : float, default=0.0
        Size of the terms of the dual value: the noise is a part of this where they cancel.
    """

    def __init__(self, noise, scale=0.0):
        self._noise, self._scale = noise, scale
        self._last = -math.inf
        self._restart()

    def _restart(self):
        self._relaxation = 1.0
        self._errors = []

    def weights(self, error, dual):
        """Return the weights ``(w^2, (w - 1)^2)`` of the next step; plain again if the dual fell.

        ``error`` is how far the plan is from optimal, ``dual`` the value that has to rise, both
        before the step.
        """
        if dual < self._last - self._noise * max(abs(dual), self._scale):
            self._restart()
        self._last = dual
        self._errors.append(error)
        if len(self._errors) >= _PLAIN_STEPS and len(self._errors) % _PERIOD == 0:
            self._adapt()
        return self._relaxation**2, (self._relaxation - 1.0) ** 2

    def _adapt(self):
        before, now = self._errors[-1 - _PERIOD], self._errors[-1]
        rate = (now / before) ** (1 / _PERIOD) if before > 0 else 1.0
        extra = self._relaxation - 1.0
        if not 0 < rate < 1:
            return
        # With w too large every mode shrinks by w - 1, and the slowest cannot be told from it.
        if extra > 0 and rate <= extra + _SLACK * (1.0 - extra):
            self._relaxation = 1.0 + _SHRINK * extra
            return
        theta = ((rate + extra) / self._relaxation) ** 2 / rate
        self._relaxation = min(_LARGEST, 2.0 / (1.0 + math.sqrt(max(0.0, 1.0 - theta))))
