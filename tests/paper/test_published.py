"""The paper's figures are those that were written down beside the repository."""

import re

import pytest

from rft_jax.paper import published
from tests.shared_data import shared


@pytest.fixture(scope="module")
def rows():
    """Returns the rows of the tables: the first cell, and the others."""
    lines = shared("PAPER.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in cells}


def numbers(cells, place):
    """Returns the numbers in each cell: 0 before a bracket or slash, 1 behind; None where there is none."""
    found = [re.findall(r"-?[0-9.]+", cell) for cell in cells]
    return [float(each[place]) if len(each) > place else None for each in found]


def values(row):
    return [row.get(model) for model in published.MODELS]


@pytest.mark.parametrize(
    ("name", "place", "row"),
    [
        ("pre-training loss", 0, published.PRETRAINING_LOSS),
        ("ICL, 8 shots", 0, published.ICL),
        ("ICL, 8 shots", 1, published.ICL_VOTES),
        ("SFT", 0, published.SFT),
        ("SFT", 1, published.SFT_VOTES),
        ("RFT k=100, ~47K rows", 0, published.RFT),
        ("RFT k=100, ~47K rows", 1, published.RFT_VOTES),
        ("RFT-U13B, 104K rows", 0, published.U13B),
        ("RFT-U13B, 104K rows", 1, published.U13B_VOTES),
        ("RFT-U33B, 110K rows", 0, published.U33B),
        ("RFT-U33B, 110K rows", 1, published.U33B_VOTES),
        ("correct paths of 100", 0, published.RIGHT_OF_100),
    ],
)
def test_rows_of_the_first_table(rows, name, place, row):
    told = numbers(rows[name], place)
    assert values(row) == told + [None] * (len(published.MODELS) - len(told))


@pytest.mark.parametrize("part", published.SFT_AT_FRACTION)
def test_fractions(rows, part):
    (name,) = [name for name in rows if re.match(rf"(SFT on )?{part},", name)]
    assert values(published.SFT_AT_FRACTION[part]) == numbers(rows[name], 0)
    assert values(published.SFT_AT_FRACTION_STEPS[part]) == numbers(rows[name], 1)


@pytest.mark.parametrize("k", published.RFT_AT_K)
def test_values_at_k(rows, k):
    (name,) = [name for name in rows if re.match(rf"{k} \(", name)]
    accuracies, distinct = ([float(number) for number in cell.split()] for cell in rows[name])
    assert list(published.RFT_AT_K[k].values()) == accuracies
    assert list(published.DISTINCT_AT_K[k].values()) == distinct
