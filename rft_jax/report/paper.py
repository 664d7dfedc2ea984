"""The paper's figures for Llama 2 7B, to compare a pipeline's with (arXiv 2308.01825, tables 1, 2 and 5)."""

from fractions import Fraction

from rft_jax.paper import published

_MODEL = "7B-2"


def union_of(models: int) -> str:
    """Returns the key of ACCURACY for training on the united paths of so many models."""
    return f"union of {models}"


# Kind of our model -> name in the paper, maj1@1 in percent.
ACCURACY = {
    "base": ("ICL, 8 shots", published.ICL[_MODEL]),
    "sft": ("SFT", published.SFT[_MODEL]),
    "rft": ("RFT, k = 100", published.RFT[_MODEL]),
    union_of(4): ("RFT-U13B", published.U13B[_MODEL]),
    union_of(5): ("RFT-U33B", published.U33B[_MODEL]),
    "no dedup": ("RFT without dedup", published.NO_DEDUP[_MODEL]),
}
DISTINCT_AT_K = {k: row[_MODEL] for k, row in published.DISTINCT_AT_K.items()}
# SFT for 3 epochs on a fraction of the data: fraction -> maj1@1 in percent.
ACCURACY_AT_FRACTION = {
    float(Fraction(part)): row[_MODEL] for part, row in {**published.SFT_AT_FRACTION, "1": published.SFT}.items()
}
