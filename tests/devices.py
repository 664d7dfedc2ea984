"""The CPU devices of the tests and of the commands that they start."""


def xla_flags(count: int) -> str:
    """Returns XLA's flags for so many CPU devices.

    Without LLVM's optimisations, which cost a third of the suite's time and change no HLO.
    """
    return f"--xla_force_host_platform_device_count={count} --xla_backend_optimization_level=0"
