"""What the paper reports on GSM8K (arXiv 2308.01825, tables 1, 2, 4 and 5; appendix A), by its names of the models.

Accuracies are percent. A value that the paper does not give is absent.
"""

from collections.abc import Mapping
from typing import Final

MODELS: Final = ("7B", "7B-2", "13B", "13B-2", "33B", "65B", "70B-2")

PROBLEMS: Final = (7473, 1319)  # for training and for testing

Row = Mapping[str, float]


def _row(*values: float | None, models: tuple[str, ...] = MODELS) -> Row:
    return {model: value for model, value in zip(models, values, strict=False) if value is not None}


PRETRAINING_LOSS: Final = _row(1.8, 1.75, 1.73, 1.68, 1.62)
ICL: Final = _row(11.0, 14.6, 17.8, 28.7, 35.6, 50.9, 56.8)
SFT: Final = _row(35.9, 41.6, 43.0, 50.0, 54.6, 59.3, 63.2)
RFT: Final = _row(41.7, 47.5, 49.1, 54.8, 54.5)
U13B: Final = _row(49.3, 50.3, 52.1, 55.4, 56.5, 59.0, 62.3)
U33B: Final = _row(49.1, 51.2, 51.4, 55.3, 57.9, 59.7, 64.8)
NO_DEDUP: Final = _row(43.6, 46.7, 46.9, 53.7)

# maj1@100, of the same models.
ICL_VOTES: Final = _row(18.1, None, 29.3, None, 53.1, 69.7)
SFT_VOTES: Final = _row(48.7, 55.4, 55.2, 61.7, 72.6, 69.7, 73.5)
RFT_VOTES: Final = _row(52.7, 58.7, 59.9, 65.4)
U13B_VOTES: Final = _row(61.8, 65.6, 66.2, 69.1)
U33B_VOTES: Final = _row(61.6, 64.1, 66.3, 69.1, 71.3)

# SFT on a fraction of the problems, for 3 epochs, and for as many steps as on all of them.
SFT_AT_FRACTION: Final[Mapping[str, Row]] = {
    "1/2": _row(30.9, 34.6, 36.1, 45.3, 50.8, 55.6, 61.0),
    "1/4": _row(22.7, 28.1, 27.4, 37.5, 44.6, 50.4, 57.8),
    "1/8": _row(16.5, 21.8, 19.5, 33.4, 39.3, 46.0, 57.8),
    "1/16": _row(12.7, 16.2, 7.4, 27.7, 29.2, 39.5, 52.8),
    "1/32": _row(7.8, 14.2, 0.0, 5.9, 25.3, 28.9, 15.8),
}
SFT_AT_FRACTION_STEPS: Final[Mapping[str, Row]] = {
    "1/2": _row(29.0, 33.1, 35.2, 43.7, 48.6, 50.5, 57.5),
    "1/4": _row(21.6, 27.7, 26.7, 36.3, 38.4, 45.6, 46.9),
    "1/8": _row(17.9, 20.8, 18.4, 28.5, 31.6, 35.8, 38.9),
    "1/16": _row(14.3, 15.5, 14.2, 23.9, 25.9, 28.9, 33.6),
    "1/32": _row(9.5, 10.1, 8.6, 17.1, 18.6, 25.2, 27.4),
}

# RFT on the paths selected from the first k samples, and its distinct paths per problem.
RFT_AT_K: Final[Mapping[int, Row]] = {
    1: _row(37.6, 43.4, 42.7, 52.1),
    3: _row(39.0, 45.3, 45.2, 51.9),
    6: _row(39.5, 45.6, 46.8, 52.2),
    12: _row(41.6, 45.3, 48.0, 53.1),
    25: _row(40.9, 46.5, 46.0, 52.6),
    50: _row(40.7, 47.0, 49.4, 54.5),
    100: _row(41.7, 47.5, 49.1, 54.8),
}
DISTINCT_AT_K: Final[Mapping[int, Row]] = {
    1: _row(1.17, 1.19, 1.15, 1.18, 1.06),
    3: _row(1.44, 1.47, 1.41, 1.45, 1.16),
    6: _row(1.74, 1.78, 1.69, 1.76, 1.28),
    12: _row(2.20, 2.23, 2.11, 2.21, 1.46),
    25: _row(2.93, 2.93, 2.88, 2.94, 1.77),
    50: _row(3.94, 3.91, 3.90, 3.94, 2.19),
    100: _row(5.25, 5.19, 5.26, 5.29, 2.78),
}
DISTINCT_OF_UNION: Final = {"U13B": 12.84, "U33B": 13.65}
RIGHT_OF_100: Final = _row(53.3, 60.8, 62.5, 71.6, 88.7)
# Of 33B at T = 1.0.
HOT_RIGHT: Final = 82.4
HOT_DISTINCT: Final = 4.77

# Device hours on A100-80GBs, table 4.
SFT_HOURS: Final = _row(0.6, 0.6, 4, 4, 40, 74, 80)
SAMPLING_HOURS: Final = _row(10, 10, 100, 100, 100, 4300, 4500)
