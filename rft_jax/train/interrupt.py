"""Ctrl-C and SIGTERM as a wish to stop, which the training loop follows once it has saved."""

import logging
import signal
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop and has saved; the message says how to resume."""


class StopSignal:
    """While it is entered, the first SIGINT or SIGTERM only sets `wished`; a second one acts as usual.

    Attributes:
        wished: whether this process was asked to stop.
    """

    def __init__(self) -> None:
        self.wished = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._wish)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _wish(self, number: int, frame: FrameType | None) -> None:
        self.wished = True
        log.warning("%s: saving after this step, then stopping; again to stop at once", signal.Signals(number).name)
        signal.signal(number, self._before[number])
