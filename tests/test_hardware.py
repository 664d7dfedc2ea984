"""Devices by the names that JAX gives them."""

import pytest

from rft_jax.hardware import HARDWARE, of_kind


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100-80g"),
        ("NVIDIA A100-SXM4-40GB", "a100-40g"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("TPU v5 lite", "tpu-v5e"),
        ("TPU v5", "tpu-v5p"),
        ("cpu", "cpu"),
    ],
)
def test_the_longest_name_that_fits_counts(kind, name):
    assert of_kind(kind) is HARDWARE[name]


def test_an_unknown_kind():
    assert of_kind("Quantum 1") is None


def test_nothing_reaches_more_than_its_peak():
    for known in HARDWARE.values():
        assert known.best > 0
        assert known.peak is None or known.reached is None or known.reached < known.peak
