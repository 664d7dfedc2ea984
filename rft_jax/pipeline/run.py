"""Decides what to do with each stage, and does it."""

import dataclasses
import functools
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from rft_jax import provenance
from rft_jax.config import PipelineConfig
from rft_jax.distributed import processes
from rft_jax.errors import UserError
from rft_jax.files import make_folder, whole_file
from rft_jax.pipeline import process, recipe, stage_settings
from rft_jax.pipeline.stage import LOG, Record, Stage, changes, fingerprint, outputs_of
from rft_jax.records.problem import read_problems
from rft_jax.task import task as tasks
from rft_jax.task.reader import Reader

PLAN = "pipeline.json"


@dataclasses.dataclass(frozen=True)
class State:
    """What is left to do for a stage.

    Attributes:
        what: done; new; resume: started before; stale: done or started with other settings or inputs.
        why: what makes it stale, or the change it resumes with.
    """

    what: Literal["done", "new", "resume", "stale"]
    why: str = ""


def state_of(stage: Stage, workdir: Path, not_done: Sequence[str]) -> State:
    """Returns the state of a stage, from its folder.

    Args:
        stage: the stage.
        workdir: workdir of the pipeline.
        not_done: stages whose output may still change; what depends on them is not compared.
    """
    folder = workdir / stage.name
    record = Record.read(folder)
    if record is None:
        return State("new")
    waits = set(stage.after) & set(not_done)
    if waits:  # neither its late flags nor all its inputs are known yet
        late = {flag.partition("=")[0] for flag in record.flags} - {flag.partition("=")[0] for flag in stage.flags}
        before: Sequence[str] = [flag for flag in record.flags if flag.partition("=")[0] not in late]
        now: Sequence[str] = stage.flags
    else:
        before, now = record.flags, (*stage.flags, *stage.late())
    different = changes(before, now)
    grows = bool(stage.growing) and len(different) == 1 and _grows(str(stage.growing), before, now)
    reads_now = {} if waits else stage.reads
    for flag, reads in reads_now.items():
        if record.inputs.get(flag, "") != fingerprint(reads):
            name = flag.removeprefix("--config.").removeprefix("--")
            different.append(f"what {name} reads" if flag.startswith("--") else f"{name} changed")
    if grows and len(different) == 1:
        return State("resume", different[0])
    if stage.kind == "report" and different:
        return State("resume")  # cheap to make again from scratch
    if different:
        return State("stale", ", ".join(different))
    if record.done and all((folder / name).exists() for name in stage.output) and record.fault(folder) is None:
        return State("done")
    return State("resume")


def _grows(name: str, before: Sequence[str], now: Sequence[str]) -> bool:
    old, new = (dict(flag.partition("=")[::2] for flag in flags).get(name, "") for flags in (before, now))
    return old.isdecimal() and new.isdecimal() and int(old) < int(new)


def states(stages: Sequence[Stage], workdir: Path) -> dict[str, State]:
    """Returns the state of each stage, before anything runs."""
    found: dict[str, State] = {}
    for stage in stages:
        found[stage.name] = state_of(stage, workdir, [name for name, state in found.items() if state.what != "done"])
    for name, state in list(found.items()):
        if state.what == "stale" or (
            state.what == "resume" and state.why
        ):  # a resume with a reason means that its output grows
            why = f"{name} is stale" if state.what == "stale" else f"{state.why} of {name}"
            for later in followers(stages, name):
                if found[later].what in ("done", "resume"):
                    found[later] = State("stale", why)
    return found


def followers(stages: Sequence[Stage], name: str) -> list[str]:
    """Returns the stages that depend on one, directly or not, except the report."""
    reached = {name}
    for stage in stages:
        if reached & set(stage.after):
            reached.add(stage.name)
    return [stage.name for stage in stages if stage.name in reached and stage.name != name and stage.kind != "report"]


def run(config: PipelineConfig, workdir: Path, *, redo: bool, command: str) -> None:
    """Runs every stage of a config that is not done.

    Args:
        config: config of the pipeline.
        workdir: holds the stages' folders.
        redo: run stale stages again; their folders are moved to workdir/stale.
        command: the user's command, for messages that say how to continue.

    Raises:
        UserError: the config is wrong, a stage is stale, or a stage failed.
    """
    if processes.from_environment(os.environ, gpus=0) is not None:
        raise UserError("the pipeline is one process: start it without srun or mpirun, and unset JAX_NUM_PROCESSES")
    stages = recipe.stages(config, workdir)
    reader = tasks.load(config.task).reader
    compare = functools.partial(_warn_of_overlap, *recipe.sources(config, workdir), reader)
    print(provenance.line(provenance.software()), flush=True)
    described = recipe.describe(config) | made_by()
    run_stages(stages, workdir, redo=redo, command=command, described=described, compare=compare)


def run_stages(
    stages: Sequence[Stage],
    workdir: Path,
    *,
    redo: bool,
    command: str,
    described: dict[str, object],
    compare: Callable[[], bool],
) -> None:
    """Runs stages as `run` does.

    Args:
        stages, workdir, redo, command: as for `run`.
        described: contents of pipeline.json.
        compare: called before each stage until it returns True, once the problems exist and have been compared.
    """
    make_folder(workdir)
    with process.lock(workdir) as lock:
        _refuse_stale(stages, states(stages, workdir), redo)
        with whole_file(workdir / PLAN) as file:
            file.write_text(json.dumps(described, indent=1) + "\n")
        compared = False
        for number, stage in enumerate(stages, start=1):
            compared = compared or compare()
            state = state_of(stage, workdir, ())
            _refuse_stale(stages, {stage.name: state}, redo)
            title = f"[{number:2}/{len(stages)}] {stage.name}"
            if state.what == "done":
                print(f"{title}: done before, unchanged", flush=True)
                continue
            before = Record.read(workdir / stage.name)
            if state.what == "resume" and before and before.done and (fault := before.fault(workdir / stage.name)):
                print(f"{title}: {stage.name}/{fault} is missing or changed, and is made again", flush=True)
            if state.what == "stale":
                print(f"{title}: {state.why}; its folder is now {_put_aside(stage, workdir)}", flush=True)
            _run_stage(stage, workdir, title, lock, command)
    if stages[-1].kind == "report":
        print(f"\n{(workdir / stages[-1].name / LOG).read_text(encoding='utf-8').strip()}", flush=True)


def _refuse_stale(stages: Sequence[Stage], found: dict[str, State], redo: bool) -> None:
    stale = [name for name, state in found.items() if state.what == "stale"]
    if stale and not redo:
        first = stale[0]
        also = list(dict.fromkeys([*stale[1:], *(later for name in stale for later in followers(stages, name))]))
        rest = f", and with it {', '.join(also)}" if also else ""
        raise UserError(
            f"{found[first].why}: this makes {first} stale{rest}. --redo runs them again and keeps the old folders in "
            "stale/; another --workdir leaves them alone"
        )


def _put_aside(stage: Stage, workdir: Path) -> Path:
    make_folder(workdir / "stale")
    number = 1
    while (aside := workdir / "stale" / f"{stage.name}-{number}").exists():
        number += 1
    return (workdir / stage.name).rename(aside)


def _run_stage(stage: Stage, workdir: Path, title: str, lock: int, command: str) -> None:
    folder = workdir / stage.name
    make_folder(folder)
    arguments = command_of(stage)
    print(f"{title}: {shlex.join(arguments)}", flush=True)
    before = Record.read(folder)
    record = Record(
        done=False,
        flags=(*stage.flags, *stage.late()),
        inputs={flag: fingerprint(reads) for flag, reads in stage.reads.items()},
        seconds=before.seconds if before else 0.0,
    )
    more = {"name": stage.name, "kind": stage.kind, "command": shlex.join(arguments)}
    record.write(folder, more)
    (folder / LOG).write_text("")
    start = time.monotonic()
    try:
        code = process.run([sys.executable, *arguments[1:]], folder / LOG, lock)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped in stage {stage.name}; finished stages are kept; to continue: {command}"
        ) from None
    seconds = time.monotonic() - start
    done = code == 0 and all((folder / name).exists() for name in stage.output)
    outputs = outputs_of(stage, folder) if done else None
    record = dataclasses.replace(record, done=done, seconds=record.seconds + seconds, outputs=outputs)
    record.write(folder, more)
    if not done:
        why = process.last_line(folder / LOG) if code else "it exited normally, but its output is missing"
        raise UserError(
            f"stage {stage.name} failed (exit code {code}): {why} | log: {folder / LOG} | finished stages are kept; to "
            f"continue: {command}"
        )
    print(f"{' ' * len(title)}  {seconds:.0f} s", flush=True)


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


def made_by() -> dict[str, object]:
    """Returns the software and the machine of the run, as a field of pipeline.json."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    return {provenance.FIELD: provenance.software() | {"machine": machine}}


def _warn_of_overlap(train: str, test: str, reader: Reader) -> bool:
    """Warns of test problems among the training problems, if both exist yet; returns whether they do."""
    if not all(source.startswith("hf:") or Path(source).exists() for source in (train, test)):
        return False
    trained = {problem.question for problem in read_problems(train, reader)}
    tested = read_problems(test, reader)
    both = sum(problem.question in trained for problem in tested)
    if both:
        print(
            f"warning: {both} of the {len(tested)} test problems are among the training problems: accuracy on them "
            "says nothing",
            file=sys.stderr,
            flush=True,
        )
    return True
