"""The CPU devices of the tests and of the commands that they start."""


def xla_flags(count: int, *, optimised: bool = False) -> str:
    """Returns XLA's flags for so many CPU devices.

    The programs of tests/model/test_sharding.py compile in 10 s: in 26 s with fusion emitters and in several pieces, in
    55 s with LLVM's optimisations. Without these, a training step of the embedded model takes 0.43 s, not 0.15 s. The
    HLO is the same but for what fusion emitters fuse.

    Args:
        count: devices.
        optimised: for what runs longer than it compiles.
    """
    flags = [
        f"--xla_force_host_platform_device_count={count}", "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1", f"--xla_backend_optimization_level={3 if optimised else 0}",
    ]  # fmt: skip
    return " ".join(flags)
