"""A pipeline as dependent SLURM jobs: one per stage that is left, by the batch scripts in launch/slurm/.

What nodes and GPUs a kind of stage gets stands on top of its script, for the pipeline and for use by hand. A job waits
for those of the stages that it needs, and is cancelled when one of them fails or is cancelled.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rft_jax import stopping
from rft_jax.config import PipelineConfig
from rft_jax.errors import UserError
from rft_jax.files import make_folder, whole_file
from rft_jax.one_writer import one_writer
from rft_jax.pipeline import models, recipe, run, stage_settings
from rft_jax.pipeline.stage import Stage
from rft_jax.pipeline.states import followers, refuse_stale, states
from rft_jax.pipeline.workdir_lock import lock

JOBS = "jobs.json"
# The batch script of each kind of stage; making or drawing problems takes a processor for seconds, as the report does,
# the check of a round for minutes, and a comparison with corpora as many as there are, as selection does.
_SCRIPTS = {kind: kind for kind in ("train", "sample", "select", "evaluate", "report")}
_SCRIPTS |= {"world": "report", "draw": "report", "contamination": "select", "loss": "evaluate", "round": "report"}
_WAITS = "--dependency=afterok:"
# Of the variables that a job has, sbatch would hand on those of the job in which it is called; these are the user's.
_KEPT = "SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"
_SUBMITTING_S = 60.0  # what another submission may take


@dataclasses.dataclass(frozen=True)
class Job:
    """A job to submit.

    Attributes:
        name: of its stage.
        needs: stages whose jobs it waits for.
        options: of sbatch, without the dependency.
        script: the batch script and its arguments.
    """

    name: str
    needs: tuple[str, ...]
    options: tuple[str, ...]
    script: tuple[str, ...]

    def command(self, needed: Sequence[str]) -> list[str]:
        """Returns the command that submits it, given the numbers of the jobs that it needs."""
        waits = (f"{_WAITS}{':'.join(needed)}", "--kill-on-invalid-dep=yes") if needed else ()
        return ["sbatch", "--parsable", *self.options, *waits, *self.script]


def plan(config: PipelineConfig, workdir: Path, arguments: Sequence[str], *, redo: bool) -> list[Job]:
    """Returns the jobs of what is left: the stages that are not done, and those that depend on them.

    Args:
        config: of the pipeline.
        workdir: of the pipeline, on a file system that all nodes share.
        arguments: of launch/pipeline.py for the jobs, without those that say which stage.
        redo: run stale stages again.

    Raises:
        UserError: the config is wrong, or a stage is stale; or this is not the checkout, where the scripts start.
    """
    run.refuse_several_processes()
    if Path.cwd() != stage_settings.root():
        raise UserError(f"--submit starts scripts that run where it does: start it in {stage_settings.root()}")
    stages = recipe.stages(config, workdir)
    models.check(config)
    found = states(stages, workdir)
    refuse_stale(stages, found, redo)
    skipped = {name for name, state in found.items() if state.what == "skipped"}
    unfinished = [name for name, state in found.items() if state.what not in ("done", "skipped")]
    left = {*unfinished, *(later for name in unfinished for later in followers(stages, name))} - skipped
    return [_job(stage, left, workdir, arguments) for stage in stages if stage.name in left]


def show(jobs: Sequence[Job]) -> str:
    """Returns the commands that submit the jobs, as a script for a shell."""
    variables = {job.name: f"job{number}" for number, job in enumerate(jobs, start=1)}
    lines = []
    for job in jobs:
        # With several clusters sbatch prints the cluster behind the number.
        needed = [f"${{{variables[name]}%%;*}}" for name in job.needs]
        parts = [part if part.startswith(_WAITS) else shlex.quote(part) for part in job.command(needed)]
        lines.append(f"{variables[job.name]}=$({' '.join(parts)})")
    return "\n".join(lines)


def submit(config: PipelineConfig, workdir: Path, arguments: Sequence[str], *, redo: bool) -> str:
    """Submits what is left, all of it or nothing, and returns the jobs for people.

    Args:
        config, workdir, arguments, redo: as for `plan`.

    Raises:
        UserError: as `plan` does; or the pipeline's jobs are queued or running already, or sbatch refuses one.
    """
    make_folder(workdir, clean=False)
    with lock(workdir, shared=True), one_writer(workdir, workdir / ".submit", wait_s=_SUBMITTING_S):
        _refuse_queued(workdir)
        jobs = plan(config, workdir, arguments, redo=redo)
        with stopping.asked_first("cancelling the jobs submitted so far"):  # a job is not left without its number
            numbers = _submit(jobs, workdir)
    waits = {job.name: ", ".join(numbers[name] for name in job.needs) for job in jobs}
    lines = [f"{name}: job {numbers[name]}{after and f', after {after}'}" for name, after in waits.items()]
    return "\n".join(lines or ["every stage is done"])


def _submit(jobs: Sequence[Job], workdir: Path) -> dict[str, str]:
    """Submits jobs, all or none, and returns their numbers by their names."""
    numbers: dict[str, str] = {}
    try:
        for job in jobs:
            numbers[job.name] = _slurm(job.command([numbers[name] for name in job.needs])).partition(";")[0]
            stopping.check()
            with whole_file(workdir / JOBS) as file:
                file.write_text(json.dumps(numbers, indent=1) + "\n")
    except BaseException as error:
        with contextlib.suppress(UserError):
            _slurm(["scancel", *numbers.values()])
        none = "no job of this pipeline is left in the queue"
        if isinstance(error, UserError):
            raise UserError(f"{error}; {none}") from error
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"interrupted; {none}") from error
        raise
    return numbers


def _job(stage: Stage, left: set[str], workdir: Path, arguments: Sequence[str]) -> Job:
    script = os.path.relpath(stage_settings.root() / "launch" / "slurm" / f"{_SCRIPTS[stage.kind]}.sbatch")
    # The scripts' Python is this one, unless the user has said which.
    python = () if "RFT_PYTHON" in os.environ else (f"--export=ALL,RFT_PYTHON={sys.executable}",)
    return Job(
        stage.name,
        tuple(name for name in (*stage.after, *stage.unless) if name in left),
        (f"--job-name={stage.name}", f"--comment={_mark(workdir)}", *_alone(stage), *python),
        (script, f"--only={stage.name}", *arguments),
    )


def _alone(stage: Stage) -> tuple[str, ...]:
    """Returns the option by which a script for several workers starts one: a loss is not shared out."""
    return ("--array=0",) if stage.kind == "loss" else ()


def _refuse_queued(workdir: Path) -> None:
    try:
        before = set(json.loads((workdir / JOBS).read_text()).values())
    except (OSError, ValueError, AttributeError):
        before = set()
    queued = _slurm(["squeue", "--noheader", f"--user={os.getuid()}", "--format=%F %k"]).splitlines()
    found = {number for number, _, comment in (line.partition(" ") for line in queued) if comment == _mark(workdir)}
    # A site may put comments of its own in place of ours.
    found |= before & {line.partition(" ")[0] for line in queued}
    if alive := sorted(found, key=int):
        raise UserError(
            f"jobs of this pipeline are still in the queue: {', '.join(alive)}; wait until they end, or cancel them: "
            f"scancel {' '.join(alive)}"
        )


def _mark(workdir: Path) -> str:
    """Returns the comment of a pipeline's jobs, which tells them from others' however they were submitted."""
    return f"rft_jax:{hashlib.sha256(os.fsencode(workdir.resolve())).hexdigest()[:16]}"


def _slurm(command: list[str]) -> str:
    environment = {
        name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(("SLURM_", "SRUN_"))
    }
    try:
        # A session of its own: Ctrl-C would end it when the job is submitted and its number is not told yet.
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, start_new_session=True
        )
    except FileNotFoundError:
        raise UserError(f"there is no {command[0]} here: --submit=slurm needs SLURM's commands") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"{shlex.join(command)[:300]} failed: {said[-1]}")
    return done.stdout.strip()
