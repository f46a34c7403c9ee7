"""Which things hang together: the connected components of a graph whose edges come in batches."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


class Components:
    """`root[i]` is the lowest number of the component that i is in."""

    def __init__(self, many: int) -> None:
        self.root: Ints = np.arange(many, dtype=np.int32)

    def join(self, one: Ints, other: Ints) -> None:
        """Take in edges between `one[k]` and `other[k]`."""
        while True:
            low, high = self.root[one], self.root[other]
            differ = low != high
            if not differ.any():
                return
            one, other, low, high = one[differ], other[differ], low[differ], high[differ]
            # The higher root hangs under the lowest that asks for it; edges that lost that race come round again.
            np.minimum.at(self.root, np.maximum(low, high), np.minimum(low, high))
            while not np.array_equal(self.root, up := self.root[self.root]):
                self.root = up
