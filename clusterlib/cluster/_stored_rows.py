"""The rows that a memory of a stream keeps: slots of which the oldest are used again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.cluster._starts import MAX_SEED
from clusterlib.validation import check_random_state

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray, Int32Array

__all__ = ["StoredRows"]


class StoredRows:
    """Slots for the last rows of a stream and for their labels."""

    prototypes_: FloatArray
    sizes_: Float64Array
    n_steps_: int
    n_features_in_: int
    feature_names_in_: Array

    @property
    def bank_(self) -> FloatArray:
        return self.slots_[: self.n_stored_]

    @property
    def labels_(self) -> Int32Array:
        return self.slot_labels_[: self.n_stored_]

    def _begin(self, dtype):
        """An empty bank."""
        vars(self).pop("prototypes_", None)
        self.slots_ = np.zeros((self.capacity, self.n_features_in_), dtype=dtype)
        self.slot_labels_ = np.full(self.capacity, -1, dtype=np.int32)
        self.n_stored_ = 0
        self.next_slot_ = 0
        self.n_steps_ = 0
        self.seed_ = int(check_random_state(self.random_state).randint(MAX_SEED))

    def _next_slots(self, n_rows):
        """Slots that are free or hold the oldest rows."""
        return (self.next_slot_ + np.arange(n_rows)) % len(self.slots_)

    def _places(self, n_rows):
        """The next slots; they count as taken."""
        slots = self._next_slots(n_rows)
        self.next_slot_ = int((self.next_slot_ + n_rows) % len(self.slots_))
        self.n_stored_ = min(self.n_stored_ + n_rows, len(self.slots_))
        return slots

    @contextmanager
    def _kept(self, n_rows):
        """Put back what so many rows have overwritten, if anything is raised."""
        slots, arrays = self._next_slots(n_rows), (self.slots_, self.slot_labels_)
        before = [array[slots] for array in arrays]
        try:
            yield
        except BaseException:
            for array, values in zip(arrays, before, strict=True):
                array[slots] = values
            raise

    def _label(self, labels):
        """New labels for all that is stored; those before stay as they are, to go back to."""
        self.slot_labels_ = np.full(len(self.slots_), -1, dtype=np.int32)
        self.slot_labels_[: self.n_stored_] = labels

    def _store(self, rows):
        self.slots_[self._places(len(rows))] = rows
