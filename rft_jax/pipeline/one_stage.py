"""Does one stage, unless it is done: as a process of the pipeline, or in a job of its own."""

import dataclasses
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.files import make_folder
from rft_jax.pipeline import process, stage_settings
from rft_jax.pipeline.attempt import Attempt, alone
from rft_jax.pipeline.stage import LOG, Record, Stage
from rft_jax.pipeline.states import refuse_stale, state_of
from rft_jax.pipeline.workdir_lock import Lock


def do(
    stages: Sequence[Stage],
    stage: Stage,
    workdir: Path,
    lock: Lock,
    *,
    redo: bool,
    command: str,
    launcher: Sequence[str] | None = None,
) -> None:
    """Does a stage whose stages before are done.

    Args:
        stages: of the pipeline.
        stage: one of them.
        workdir: of the pipeline.
        lock: on it, which the stage's command inherits.
        redo: run it again if it is stale; its folder is moved to workdir/stale.
        command: the user's, for messages that say how to continue.
        launcher: in a job: starts the stage's processes, such as srun. Their output goes to the job's, and other
            workers may be at the same stage. None: the command is one process, and its output goes to a log.

    Raises:
        UserError: it is stale, or failed.
        KeyboardInterrupt: it was asked to stop.
    """
    folder = workdir / stage.name
    title = f"[{[each.name for each in stages].index(stage.name) + 1:2}/{len(stages)}] {stage.name}"
    with alone(folder):
        state = state_of(stage, workdir, ())
        refuse_stale(stages, {stage.name: state}, redo)
        if state.what == "done":
            print(f"{title}: done before, unchanged", flush=True)
            return
        before = Record.read(folder)
        if state.what == "resume" and before and before.done and (fault := before.fault(folder)):
            print(f"{title}: {stage.name}/{fault} is missing or changed, and is made again", flush=True)
        if state.what == "stale":
            print(f"{title}: {state.why}; its folder is now {_put_aside(folder)}", flush=True)
        make_folder(folder, clean=launcher is None)
        (folder / LOG).unlink(missing_ok=True)  # it would pass for this attempt's
        arguments = command_of(stage)
        attempt = Attempt(stage, folder, arguments)
    print(f"{title}: {shlex.join([*(launcher or ()), *arguments])}", flush=True)
    started, log = time.monotonic(), folder / LOG
    program = [*(launcher or ()), sys.executable, *arguments[1:]]
    stopped = f"stopped in stage {stage.name}; finished stages are kept; to continue: {command}"
    lock.runs(stage.name)
    with attempt:
        try:
            if launcher is None:
                log.write_text("")
                code = process.run_logged(program, log, lock.descriptor, lambda pid: lock.runs(stage.name, pid))
            else:
                code = process.run(program, lock.descriptor, lambda pid: lock.runs(stage.name, pid))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(stopped) from None
        if code == process.INTERRUPTED:  # by somebody else
            raise KeyboardInterrupt(stopped)
        complete = attempt.complete()
        if code or not complete:
            why = f": {process.last_line(log)} | log: {log}" if launcher is None else ""
            raise UserError(
                f"stage {stage.name} failed (exit code {code})"
                f"{why if code else ': it exited normally, but its output is missing'} | finished stages are kept; to "
                f"continue: {command}"
            )
        attempt.finish()
    print(f"{' ' * len(title)}  {time.monotonic() - started:.0f} s", flush=True)


def command_of(stage: Stage, *, planned: bool = False) -> list[str]:
    """Returns the command as a user would type it here; `planned` omits the flags that are not known yet."""
    root = stage_settings.root()
    arguments = []
    for argument in (dataclasses.replace(stage, late=tuple) if planned else stage).arguments():
        flag, _, value = argument.partition("=")
        name, colon, rest = value.partition(":")
        if flag == "--config" and (file := stage_settings.config_file(value)) != name:
            argument = f"{flag}={os.path.relpath(file)}{colon}{rest}"
        arguments.append(argument)
    return ["python", os.path.relpath(root / stage.script), *arguments]


def _put_aside(folder: Path) -> Path:
    stale = folder.parent / "stale"
    make_folder(stale, clean=False)
    number = 1
    while (aside := stale / f"{folder.name}-{number}").exists():
        number += 1
    return folder.rename(aside)
