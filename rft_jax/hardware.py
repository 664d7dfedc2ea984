"""What the devices of this world can do: the one table."""

import dataclasses

# Of a GPU's memory, what JAX may take; the rest is for the libraries that allocate beside it. JAX's own default, three
# quarters, would leave a fifth of every device unused (runtime.start).
GPU_SHARE = 0.92
FULL = 0.95  # of what a program may use, what it is given; the rest is for what is not in it


@dataclasses.dataclass(frozen=True)
class Cuda:
    """What XLA's compiler wants to know of a GPU.

    From its own descriptions (github.com/openxla/xla, xla/backends/gpu/target_config/specs, seen 2026-11-26).

    Attributes:
        capability: major number of the compute capability; the minor one is 0.
        cores: streaming multiprocessors.
        fpus: fp32 units of each.
        shared: bytes of shared memory of each.
        l2: bytes of the cache.
        clock: GHz.
        memory: bytes in all.
    """

    capability: int
    cores: int
    fpus: int
    shared: int
    l2: int
    clock: float
    memory: int


@dataclasses.dataclass(frozen=True)
class Slices:
    """The slices that a kind of TPU comes in.

    Attributes:
        name: of the kind, as XLA's topologies begin.
        axes: of its torus.
        chip: how the compiler is told to see a chip as one device, if that is not its default.
    """

    name: str
    axes: int
    chip: str | None = None


@dataclasses.dataclass(frozen=True)
class Hardware:
    """One kind of device. Rates are per device.

    Attributes:
        kinds: how the names that JAX gives such devices (`device_kind`) begin.
        peak: dense bf16 FLOP/s, by the vendor's data sheet; None where it says nothing.
        reached: bf16 FLOP/s of a large matrix product; of one core for a CPU; None where nobody measured it.
        memory: bytes that a program may use: of GPUs GPU_SHARE, of TPUs what libtpu leaves; None for a CPU.
        bandwidth: of the memory, bytes/s, by the data sheet.
        copied: bytes/s of a large copy, read and written; None where nobody measured it.
        inside: bytes/s that a device sends to others of its host, by the data sheet: all links, one direction.
        between: bytes/s that a device sends to other hosts; for GPUs one network adapter each, as in DGX systems (A100
            200, H100 and H200 400 Gbit/s).
        per_host: devices of a full host.
        compiler: what XLA needs to compile for it without having it.
    """

    kinds: tuple[str, ...]
    peak: float | None
    reached: float | None
    memory: float | None = None
    bandwidth: float | None = None
    copied: float | None = None
    inside: float | None = None
    between: float | None = None
    per_host: int = 1
    compiler: Cuda | Slices | None = None

    @property
    def best(self) -> float:
        """The most bf16 FLOP/s to hope for: what was reached, or else what the data sheet promises."""
        return self.reached or self.peak or float("nan")

    @property
    def best_bandwidth(self) -> float:
        """The most bytes/s of memory to hope for: what was reached, or else what the data sheet promises."""
        return self.copied or self.bandwidth or float("nan")


def _gpu(
    *kinds: str, peak: float, reached: float | None = None, bandwidth: float, copied: float | None = None,
    inside: float, between: float, cuda: Cuda,
) -> Hardware:  # fmt: skip
    return Hardware(kinds, peak, reached, GPU_SHARE * cuda.memory, bandwidth, copied, inside, between, 8, cuda)


def _tpu(
    kind: str, slices: Slices, *, peak: float, memory: float, bandwidth: float, links: float, per_host: int
) -> Hardware:
    return Hardware((kind,), peak, None, memory * 2**30, bandwidth, None, links, links, per_host, slices)


_A100 = Cuda(8, 108, 64, 167936, 41943040, 1.41, 85100068864)
_H100 = Cuda(9, 132, 128, 233472, 52428800, 1.98, 84942979072)

HARDWARE = {
    "cpu": Hardware(("cpu",), None, 30e9),
    "a100-40g": _gpu(
        "NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB", peak=312e12, reached=265e12, bandwidth=1.555e12,
        inside=300e9, between=25e9, cuda=dataclasses.replace(_A100, memory=42331013120),
    ),
    "a100-80g": _gpu(
        "NVIDIA A100", peak=312e12, reached=265e12, bandwidth=2.039e12, copied=1.79e12, inside=300e9, between=25e9,
        cuda=_A100,
    ),
    "h100-pcie": _gpu(
        "NVIDIA H100 PCIe", peak=756e12, bandwidth=2.039e12, inside=64e9, between=50e9,
        cuda=dataclasses.replace(_H100, cores=114, clock=1.755),
    ),
    "h100": _gpu(
        "NVIDIA H100", peak=989e12, reached=650e12, bandwidth=3.352e12, inside=450e9, between=50e9, cuda=_H100
    ),
    "h200": _gpu(
        "NVIDIA H200", peak=989e12, reached=790e12, bandwidth=4.8e12, copied=4.3e12, inside=450e9, between=50e9,
        cuda=dataclasses.replace(_H100, memory=151397597184),
    ),
    "tpu-v4": _tpu(
        "TPU v4", Slices("v4", 3, "megacore"), peak=275e12, memory=30.75, bandwidth=1.228e12, links=300e9, per_host=4
    ),
    "tpu-v5e": _tpu(
        "TPU v5 lite", Slices("v5e", 2), peak=197e12, memory=15.75, bandwidth=0.819e12, links=200e9, per_host=8
    ),
    "tpu-v5p": _tpu(
        "TPU v5", Slices("v5p", 3), peak=459e12, memory=95.74, bandwidth=2.765e12, links=600e9, per_host=4
    ),
    "tpu-v6e": _tpu(
        "TPU v6 lite", Slices("v6e", 2), peak=918e12, memory=31.25, bandwidth=1.638e12, links=400e9, per_host=8
    ),
}  # fmt: skip


def of_kind(kind: str) -> Hardware | None:
    """Returns the hardware that JAX calls by a name, or None where it is not known."""
    fitting = [(len(name), known) for known in HARDWARE.values() for name in known.kinds if kind.startswith(name)]
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]
