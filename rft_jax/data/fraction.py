"""How many examples a fraction of them is: at least one."""

import math


def in_use(examples: int, fraction: float) -> int:
    """Returns how many of the examples a run with this fraction uses."""
    return max(1, math.ceil(examples * fraction))
