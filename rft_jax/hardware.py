"""What the devices of this world can do: the one table."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Hardware:
    """One kind of device.

    Attributes:
        kinds: how the names that JAX gives such devices (`device_kind`) begin.
        peak: dense bf16 FLOP/s, by the vendor's data sheet; None where it says nothing.
        reached: bf16 FLOP/s of a large matrix product; of one core for a CPU; None where nobody measured it.
        memory: in bytes; None for a CPU.
    """

    kinds: tuple[str, ...]
    peak: float | None
    reached: float | None
    memory: float | None

    @property
    def best(self) -> float:
        """The most bf16 FLOP/s to hope for: what was reached, or else what the data sheet promises."""
        return self.reached or self.peak or float("nan")


HARDWARE = {
    "cpu": Hardware(("cpu",), None, 30e9, None),
    "a100-40g": Hardware(("NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB"), 312e12, 265e12, 40e9),
    "a100-80g": Hardware(("NVIDIA A100",), 312e12, 265e12, 80e9),
    "h100-pcie": Hardware(("NVIDIA H100 PCIe",), 756e12, None, 80e9),
    "h100-80g": Hardware(("NVIDIA H100",), 989e12, 650e12, 80e9),
    "h200": Hardware(("NVIDIA H200",), 989e12, 790e12, 141e9),
    "tpu-v4": Hardware(("TPU v4",), 275e12, None, 32e9),
    "tpu-v5e": Hardware(("TPU v5 lite",), 197e12, None, 16e9),
    "tpu-v5p": Hardware(("TPU v5",), 459e12, None, 95e9),
    "tpu-v6e": Hardware(("TPU v6 lite",), 918e12, None, 32e9),
}


def of_kind(kind: str) -> Hardware | None:
    """Returns the hardware that JAX calls by a name, or None where it is not known."""
    fitting = [(len(name), known) for known in HARDWARE.values() for name in known.kinds if kind.startswith(name)]
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]
