"""Reads LaTeX for the grader `latex`: lines of JSON in, lines of JSON out (latex_process.py).

It dies when an answer takes more than `SECONDS_PER_ANSWER` of processor time or `MAX_BYTES` of memory, and when whoever
started it is gone. Nothing that it reads reaches Python's evaluator: sympy's own parser of texts, which uses it, is
replaced here, and with it `sympify` of texts.
"""

import json
import os
import queue
import re
import resource
import signal
import sys
import threading
from typing import Any

SECONDS_PER_ANSWER = 4.0
MAX_BYTES = 2 << 30
_NAME = re.compile(r"[A-Za-z]{1,99}")
_DECIMAL = re.compile(r"-?(?:[0-9]{1,1000}(?:\.[0-9]{0,1000})?|\.[0-9]{1,1000})")


def main() -> None:
    """Answers requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started us decides
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not write between the replies
    _limit_memory()
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()

    from rft_jax.task.graders.latex_canonical import canonical  # loads sympy, within the limits

    _close_the_evaluator()
    _write(replies, {"ready": True})
    while True:
        text = json.loads(requests.get())["text"]
        signal.setitimer(signal.ITIMER_PROF, SECONDS_PER_ANSWER)  # its signal, not caught, ends the process
        try:
            read = canonical(text)
        except MemoryError:
            os._exit(1)
        except Exception:  # whatever the library raises for what it cannot read
            read = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(replies, {"form": read.form if read else None, "also": sorted(read.also) if read else []})


def _read_requests(requests: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # also in the midst of an answer: nobody waits for it


def _write(replies: Any, value: dict[str, Any]) -> None:
    try:
        replies.write(json.dumps(value) + "\n")
        replies.flush()
    except BrokenPipeError:
        os._exit(0)


def _limit_memory() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MAX_BYTES if most == resource.RLIM_INFINITY else min(MAX_BYTES, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _close_the_evaluator() -> None:
    """Puts a reader of numbers and names in the place of sympy's parser of texts, which hands them to `eval`.

    math-verify asks it for the numbers in an answer (`sympy.Number("1.5")`), sympy for symbols by their names.
    """
    import latex2sympy2_extended.latex2sympy2
    import math_verify.parser
    import sympy
    import sympy.parsing.sympy_parser

    def read(text: str, *_: object, **__: object) -> Any:
        if _DECIMAL.fullmatch(text):
            return sympy.Rational(text)
        if _NAME.fullmatch(text):
            return sympy.Symbol(text)
        raise ValueError("no text is evaluated here")

    for module in (sympy.parsing.sympy_parser, math_verify.parser, latex2sympy2_extended.latex2sympy2):
        module.parse_expr = read
    sympy.parsing.sympy_parser.eval_expr = read


if __name__ == "__main__":
    main()
