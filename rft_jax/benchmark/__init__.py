"""Benchmarks: this project, its peers and the hardware's limit, side by side in one run."""
