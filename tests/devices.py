"""The CPU devices of the tests and of the commands that they start."""


def xla_flags(count: int, *, optimised: bool = False) -> str:
    """Returns XLA's flags for so many CPU devices.

    Without fusion emitters and in one piece, a program compiles in half the time; without LLVM's optimisations, in half
    of that, but then it runs for twice as long. None of this changes the HLO.

    Args:
        count: devices.
        optimised: for what runs longer than it compiles.
    """
    flags = [
        f"--xla_force_host_platform_device_count={count}", "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1", f"--xla_backend_optimization_level={3 if optimised else 0}",
    ]  # fmt: skip
    return " ".join(flags)
