"""What every command in launch/ shares: flags in, one exit code out.

Exit codes: 0 done; 1 failed, with one line on what and where; 2 bad flags; 130 interrupted by the user.
"""

import io
import os
import sys
from collections.abc import Callable

from absl import app, flags

from rft_jax import plugin
from rft_jax.errors import UserError, did_you_mean


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
        except UserError as error:
            _stop(1, str(error))
        except flags.Error as error:  # a bad field override, found only once the config is loaded
            _stop(2, str(error))
        except KeyboardInterrupt as interrupt:
            _stop(130, str(interrupt) or "interrupted")

    app.run(guarded, flags_parser=parse)


def show(text: str) -> None:
    """Prints what the user asked for.

    Raises:
        UserError: nobody reads it (`| head` had enough), or the disk is full.
    """
    if sys.stdout is None:  # closed by whoever started the command
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A locale that lacks a letter of a problem is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except OSError as error:
        # Python flushes once more when it ends, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"cannot write the output: {error.strerror}") from error


def _stop(code: int, message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
