"""What every command in launch/ shares: flags in, one exit code out.

Exit codes: 0 done; 1 failed, with one line on what and where; 2 bad flags; 130 interrupted by the user.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags

from rft_jax import plugin, stopping
from rft_jax.distributed import lifeline
from rft_jax.errors import UserError, did_you_mean
from rft_jax.remote import given


def run(main: Callable[[], None], parse_extra: Callable[[list[str]], list[str]] = lambda arguments: arguments) -> None:
    """Parses the absl flags, calls `main()` and exits.

    Args:
        main: takes no arguments; reads its flags from `absl.flags.FLAGS`.
        parse_extra: sees the command line first and returns the arguments left for absl (see `config_flag`).
    """

    def parse(arguments: list[str]) -> list[str]:
        if {"--help", "-h"} & set(arguments):
            app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)  # absl's own --help exits with 1
        try:
            left = flags.FLAGS(parse_extra(arguments))
        except flags.UnrecognizedFlagError as error:
            _stop(2, f"unknown flag --{error.flagname}{did_you_mean(error.flagname, list(flags.FLAGS))}")
        except flags.Error as error:
            _stop(2, str(error))
        if len(left) > 1:
            _stop(2, f"unexpected argument {left[1]!r}: give every setting as --name=value")
        return left

    def guarded(_: list[str]) -> None:
        try:
            with plugin.blamed():
                main()
            if line := lifeline.current():
                line.finish()
                stopping.end(0)
        except UserError as error:
            _fail(given.told(" ".join(str(error).split())))
        except flags.Error as error:  # a bad field override, found only once the config is loaded
            _stop(2, str(error))
        except KeyboardInterrupt as interrupt:
            _fail(str(interrupt) or "interrupted", code=130)
        except Exception as error:
            if line := lifeline.current():
                line.explain(error)
            traceback.print_exc()
            _fail(f"{type(error).__name__}: {error}", told=True)

    # transformers would advise to install torch, which nothing here needs.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A locale that lacks a letter of a problem, or a file's name that is not UTF-8, is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        stopping.catch()
        app.run(guarded, flags_parser=parse)
    except UserError as error:  # main's own are caught within
        _stop(1, str(error))
    except KeyboardInterrupt:  # before or after main
        _stop(130, "interrupted")


def show(text: str) -> None:
    """Prints what the user asked for.

    Raises:
        UserError: nobody reads it (`| head` had enough), or the disk is full.
    """
    if sys.stdout is None:  # closed by whoever started the command
        return
    try:
        print(text, flush=True)
    except OSError as error:
        # Python flushes once more when it ends, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"cannot write the output: {error.strerror}") from error


def _fail(error: str, *, told: bool = False, code: int = 1) -> NoReturn:
    """Tells the user of an error, unless it is told already or process 0 does so for all, and the other processes."""
    line = lifeline.current()
    if line:
        line.tell_end(error, code)
        told = told or line.end_is_told(error)
    if not told:
        print(f"error: {error}", file=sys.stderr)
    if line:
        line.leave()
    stopping.end(code)


def _stop(code: int, message: str) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    stopping.end(code)
