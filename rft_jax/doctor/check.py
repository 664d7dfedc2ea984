"""A check: what every process finds out in limited time, and what that means."""

import dataclasses
import enum
import platform
import shutil
import sys
import textwrap
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rft_jax.distributed import agreement


class Level(enum.Enum):
    """How good or bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        level: how good or bad it is.
        found: for people.
        advice: what to do about it, if anything.
    """

    level: Level
    found: str
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one process found out.

    Attributes:
        host: where it runs.
        value: JSON values, if it could find out.
        error: why it could not.
    """

    host: str
    value: Any = None
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        name: of what is checked.
        find: called on every process; returns JSON values, or raises.
        judge: called with what each process found, by number.
        advice: what to do where a process could not find out.
        seconds: that finding out may take.
        at_once: whether the processes begin at the same moment.
    """

    name: str
    find: Callable[[], Any]
    judge: Callable[[Sequence[Any]], Finding]
    advice: str
    seconds: float = 10.0
    at_once: bool = False

    def run(self, left: Callable[[], float]) -> Finding:
        """Returns the finding, the same on all processes, which call this at the same point.

        Args:
            left: returns the seconds that are left for all checks.
        """
        if self.at_once:
            agreement.exchange({})
        ours = answer(self.find, min(self.seconds, max(1.0, left())))
        told = [Answer(**each) for each in agreement.exchange(dataclasses.asdict(ours))]
        for number, each in enumerate(told):
            if each.error is not None:
                of_all = all(other.error == each.error for other in told)
                return Finding(Level.FAILED, f"{'' if of_all else who(number, told)}{each.error}", self.advice)
        try:
            return self.judge([each.value for each in told])
        except ProcessError as error:
            return Finding(error.level, f"{who(error.number, told)}{error}", error.advice or self.advice)


class ProcessError(Exception):
    """What a process found is bad, or not what process 0 found."""

    def __init__(self, number: int, what: str, level: Level = Level.FAILED, advice: str = "") -> None:
        """Makes it.

        Args:
            number: of the process.
            what: is wrong, for people.
            level: how bad it is.
            advice: what to do about it; by default the check's.
        """
        super().__init__(what)
        self.number, self.level, self.advice = number, level, advice


def who(number: int, answers: Sequence[Answer]) -> str:
    """Returns how a line about a process begins; nothing where there is only one."""
    return f"process {number} on {answers[number].host}: " if len(answers) > 1 else ""


def answer(find: Callable[[], Any], seconds: float) -> Answer:
    """Calls a function in a thread, and goes on without it when it takes too long: a file system may hang for ever."""
    found: list[Answer] = []
    host = platform.node()

    def call() -> None:
        try:
            found.append(Answer(host, find()))
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            found.append(Answer(host, error=f"{where}{error.strerror or error}"))
        except Exception as error:  # whatever it is, the other checks may tell why
            found.append(Answer(host, error=" ".join((str(error) or type(error).__name__).split())[:500]))

    thread = threading.Thread(target=call, name="check", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else Answer(host, error=f"no answer within {seconds:.0f} s")


def table(findings: Sequence[tuple[str, Finding]]) -> str:
    """Returns a line for each check, with what to do below it; wrapped for a terminal, and not in a log."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = max(40, shutil.get_terminal_size().columns - 22) if terminal else sys.maxsize
    lines = []
    for name, finding in findings:
        told = []
        for text in (finding.found, f"→ {finding.advice}" if finding.advice else ""):
            told += textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        head = f"{finding.level.value:8}{name:14}"
        lines += [f"{head if number == 0 else '':22}{line}" for number, line in enumerate(told)]
    return "\n".join(lines)
