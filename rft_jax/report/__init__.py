"""One page on a run: what came out, beside the paper's figures, and where it comes from."""
