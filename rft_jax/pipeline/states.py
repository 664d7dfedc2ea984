"""What is left to do for each stage, judged by what is in its folder."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rft_jax.errors import UserError
from rft_jax.hf.fingerprint import same
from rft_jax.pipeline import stopped
from rft_jax.pipeline.stage import Record, Stage, changes, fingerprint


@dataclasses.dataclass(frozen=True)
class State:
    """What is left to do for a stage.

    Attributes:
        what: done; new; resume: started before; stale: done or started with other settings or inputs; skipped: not to
            be done, as the check of a round says.
        why: what makes it stale, the change it resumes with, or what the check says.
    """

    what: Literal["done", "new", "resume", "stale", "skipped"]
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
        if not same(record.inputs.get(flag, ""), fingerprint(reads)):
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
    skipped: dict[str, str] = {}
    sound: list[str] = []  # done, with all that they need
    for each in stages:
        if each.name in skipped:
            found[each.name] = State("skipped", skipped[each.name])
            continue
        stage = stopped.left(each, skipped)
        found[stage.name] = state_of(stage, workdir, [name for name, state in found.items() if state.what != "done"])
        if found[stage.name].what == "done" and set(stage.after) <= set(sound):
            sound.append(stage.name)
            if stage.kind == stopped.ROUND:
                skipped = stopped.skipped(stages, sound, workdir)
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


def refuse_stale(stages: Sequence[Stage], found: dict[str, State], redo: bool) -> None:
    """Raises UserError if stages are stale and are not to run again; the message names what follows them too."""
    stale = [name for name, state in found.items() if state.what == "stale"]
    if stale and not redo:
        first = stale[0]
        also = list(dict.fromkeys([*stale[1:], *(later for name in stale for later in followers(stages, name))]))
        rest = f", and with it {', '.join(also)}" if also else ""
        raise UserError(
            f"{found[first].why}: this makes {first} stale{rest}. --redo runs them again and keeps the old folders in "
            "stale/; another --workdir leaves them alone"
        )
