"""The paper's figures for Llama 2 7B, to compare ours with (arXiv 2308.01825, tables 1 and 2)."""

# Kind of our model -> name in the paper, maj1@1 in percent.
ACCURACY = {
    "base": ("ICL, 8 shots", 14.6),
    "sft": ("SFT", 41.6),
    "rft": ("RFT, k = 100", 47.5),
    "union": ("RFT-U13B", 50.3),
    "no dedup": ("RFT without dedup", 46.7),
}
# Table 2: k -> distinct paths per question.
DISTINCT_AT_K = {1: 1.19, 3: 1.47, 6: 1.78, 12: 2.23, 25: 2.93, 50: 3.91, 100: 5.19}
# SFT for 3 epochs on a fraction of the data: fraction -> maj1@1 in percent.
ACCURACY_AT_FRACTION = {1 / 32: 14.2, 1 / 16: 16.2, 1 / 8: 21.8, 1 / 4: 28.1, 1 / 2: 34.6, 1.0: 41.6}
