"""What a command tells on stderr while it runs: progress on process 0, warnings and errors on all."""

import logging

from absl import logging as absl_logging


def log_on_process_zero(process: int) -> None:
    """Makes process 0 log progress, and the others only warnings and errors."""
    handler = logging.StreamHandler()
    label = "" if process == 0 else f"process {process}: "
    handler.setFormatter(logging.Formatter(f"%(asctime)s {label}%(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    absl_logging.set_verbosity(absl_logging.WARNING)
    logging.getLogger("rft_jax").setLevel(logging.INFO if process == 0 else logging.WARNING)
