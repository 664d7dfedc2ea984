"""The same function on many tasks, in several processes, with the results in the order of the tasks."""

import collections
import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rft_jax import plugin, stopping
from rft_jax.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")
Map = Callable[[Callable[[Task], Result], Iterable[Task]], Iterator[Result]]

# Tasks handed out beyond the ones that run: enough to keep every process busy, few enough to stop soon.
_AHEAD = 2


def available() -> int:
    """Returns how many processors this process may use (a container or a scheduler may grant fewer than there are)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def ordered_map(workers: int) -> Iterator[Map]:
    """Yields a function like `map`, which runs in `workers` processes, or in this one when there is one.

    The search for reference cycles is off meanwhile: a task makes none (see `farthest._Text`), only many objects to
    search, for an eighth of the time.

    Raises:
        UserError: the system killed a worker, in most cases for lack of memory.
    """
    if workers == 1:
        with _no_search_for_cycles():
            yield map
        return
    # Spawned, not forked: the parent may hold threads (progress bar, JAX in a pipeline), which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)

    def run(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        waiting: collections.deque[Future[Result]] = collections.deque()
        for task in tasks:
            waiting.append(pool.submit(_blamed, function, task))
            if len(waiting) > workers + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield run
    except BrokenProcessPool:
        stopping.pause(0.5)  # a scheduler's SIGTERM reaches workers too, and may have reached them first
        raise UserError(
            "a worker process was killed, probably for lack of memory; try again with fewer (--workers=1)"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _blamed(function: Callable[[Task], Result], task: Task) -> Result:
    with plugin.blamed():  # here: only the text of a traceback comes back
        return function(task)


def _start_worker() -> None:
    gc.disable()
    # Ctrl-C reaches the whole group; the parent alone reacts, and drops the tasks that have not begun.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker was started by someone"

    def follow() -> None:
        parent.join()
        os._exit(1)  # a parent that was killed could not say good-bye, and its workers would wait for ever

    threading.Thread(target=follow, daemon=True).start()
