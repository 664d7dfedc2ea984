"""Which examples a fraction of them is: at least one, and a smaller fraction is a part of a larger one."""

import math

import numpy as np


def in_use(examples: int, fraction: float) -> int:
    """Returns how many of the examples a run with this fraction uses."""
    return max(1, math.ceil(examples * fraction))


def shuffled(numbers: np.ndarray, seed: int, stream: int) -> np.ndarray:
    """Returns numbers in an order that depends on seed and stream alone."""
    # By sorting raw Philox words: numpy promises that those, unlike `permutation`, never change between its versions.
    words = np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64)).random_raw(len(numbers))
    return numbers[np.argsort(words, kind="stable")]
