"""Work in threads that never keep a process from ending: a download may hang, and Python waits for pools of threads."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Returns or raises what `work` does.

    Raises:
        TimeoutError: it takes longer; it goes on meanwhile.
    """
    results: list[_Result] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="within", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def each(work: Callable[[_Item], object], items: Sequence[_Item], threads: int) -> None:
    """Does the work for each item, several at a time; raises the first error, and begins no other item then."""
    waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    stopped = threading.Event()
    for item in items:
        waiting.put(item)

    def run() -> None:
        while not stopped.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                work(item)
                ended.put(None)
            except Exception as error:
                ended.put(error)

    for _ in range(min(threads, len(items))):
        threading.Thread(target=run, name="each", daemon=True).start()
    try:
        for _ in items:
            if (error := ended.get()) is not None:
                raise error
    finally:
        stopped.set()
