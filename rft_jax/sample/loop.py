"""Sampling k paths of each problem: from a model folder to a folder of paths."""

import contextlib
import logging
from pathlib import Path as FilePath

import numpy as np

from rft_jax import config_checks, runtime, stopping
from rft_jax.config import SampleConfig
from rft_jax.data import prompt_format
from rft_jax.data import tokenizer as tokenizers
from rft_jax.data.encode import Encoder
from rft_jax.distributed import agreement
from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import fingerprint, located, pretrained
from rft_jax.model.llama import Llama
from rft_jax.records import manifest
from rft_jax.records.problem import Problem, read_problems
from rft_jax.sample import budgets, capacity, prompts, settings, shards
from rft_jax.sample.decode import stop_at
from rft_jax.sample.engine import DeviceEngine, responses
from rft_jax.sample.progress import Progress
from rft_jax.sample.sampling import SamplingParameters
from rft_jax.sample.schedule import Schedule
from rft_jax.sample.sharing import agree, journal
from rft_jax.sample.sharing.claims import Claims
from rft_jax.sample.sharing.jobs import Jobs
from rft_jax.sample.sharing.ledger import CLAIMS, Ledger
from rft_jax.sample.sharing.share import Share
from rft_jax.sample.stop_texts import StopTexts
from rft_jax.task import grader as graders
from rft_jax.task import task as tasks

log = logging.getLogger(__name__)


def sample(config: SampleConfig, workdir: FilePath) -> None:
    """Samples what is missing in workdir/paths.

    Raises:
        UserError: a mistake in the settings, the model or the problems, or paths of other settings in the folder.
        stopping.Interrupted: by SIGINT or SIGTERM, after what is begun is in the journals.
    """
    config_checks.sampling(config)
    budgets.policy_of(config)
    config = located.pinned_in(config)
    if config.model is None or config.problems is None:
        raise UserError("sampling needs --config.model=DIR and --config.problems=FILE")
    parameters = SamplingParameters(config.temperature, config.top_k, config.top_p, config.min_p)
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    folder = located.model(config.model)
    model_print = fingerprint.of_model(folder)
    architecture = hf_config.read(folder)

    # How the model is asked: as it was trained, but for what the settings say.
    tokenizer = tokenizers.load(folder)
    task = prompt_format.task_of(folder, config.task)
    asked = prompt_format.choose(
        folder,
        tokenizer,
        name=config.name,
        task=task,
        template=settings.template(config, task),
        begin_token=config.begin_token,
        end_tokens=config.end_tokens,
    )
    encoder = asked.encoder(tokenizer, architecture.vocabulary)
    problems = read_problems(config.problems, tasks.load(asked.task).reader)
    whole = prompts.fit(
        encoder.prompts(problems, config.problems),
        keep=config.prompt_tokens,
        max_new=config.max_new_tokens,
        positions=architecture.max_positions,
    )
    dtype = settings.compute_dtype(config.compute)

    # What is there already, and what is missing.
    agreed = settings.of_a_path(
        config,
        asked,
        model=model_print,
        problems=manifest.of_problems(problems),
        prompts=prompts.fingerprint(whole),
        compute=dtype.name,
    )
    paths = workdir / "paths"
    agreement.shared(workdir)
    agreement.agree(agreement.settings(config) | agreed)
    ledger: Ledger | None = None

    def open_ledger() -> dict[str, int]:
        nonlocal ledger
        ledger = Ledger(
            paths,
            agreed,
            problems=len(problems),
            k=config.k,
            made_by=lambda: runtime.describe(mesh) | {"model": config.model},
            adaptive=budgets.adaptive(config, problems, asked.task),
        )
        if not ledger.tiles:
            ledger.finish()
        return {"wanted": ledger.wanted, "done": ledger.done, "most_left": ledger.most_left}

    found = agree.from_first(open_ledger)
    runtime.announce(mesh)
    with Claims(paths / CLAIMS, needed=ledger.tiles.__contains__) if ledger else contextlib.nullcontext() as claims:
        if not found["most_left"]:
            log.info("nothing to do: all %d paths are in %s", found["wanted"], paths)
            return

        # The model, and as many rows as fit beside it.
        encoded = prompts.split(whole)
        lengths = capacity.Lengths(
            np.array([len(own) for own in encoded.own]),
            expected_lengths(encoder, problems, config.max_new_tokens),
            config.max_new_tokens,
            begun=agree.from_first(lambda: journal.mean_begun(paths / CLAIMS)),
        )
        model: Llama = pretrained.load(folder, mesh, dtype=dtype, stacked=False)
        sizes = capacity.fit(
            lengths,
            architecture,
            mesh,
            samples=budgets.samples_at_once(config),
            wanted=found["most_left"],
            dtype=dtype,
            prefix=len(encoded.prefix),
            rows=config.rows,
        )
        engine = DeviceEngine(
            model,
            mesh,
            sizes,
            prefix=encoded.prefix,
            parameters=parameters,
            stop=stop_at(asked.stop_tokens),
            max_new=config.max_new_tokens,
            seed=config.seed,
            dtype=dtype,
            logprobs=config.logprobs,
        )
        schedule = Schedule(
            sizes,
            devices=capacity.devices(mesh),
            skipped=len(encoded.prefix),
            text_stop=StopTexts(encoder, encoder.template.stops).found if encoder.template.stops else None,
            logprobs=config.logprobs,
        )

        # From claimed tiles to responses to paths to whole shards, until every path is there.
        # A journal holds no log-probabilities, so with them a sample is begun anew after a kill.
        unfinished = (lambda: ()) if config.logprobs else schedule.begun
        share = Share(ledger, claims, paths / CLAIMS, unfinished=unfinished) if ledger and claims else None
        # Half of the slots are spare (capacity.SEATS_PER_ROW); with one row per slot all samples take one anyway.
        resumable = 1.0 if sizes.seats == 1 else sizes.slots / (2 * sizes.rows)
        jobs = Jobs(share, encoded.own, most=sizes.samples, resumable=resumable)
        grader = graders.load(tasks.load(asked.task).grader)

        def each_call() -> None:
            if share:  # process 0 stops for all, and hears what the others were asked
                stopping.check()
                share.keep()

        with (
            stopping.asked_first("writing down what is begun"),
            Progress(
                found["wanted"],
                found["done"],
                schedule,
                problems,
                grader,
                budget=None if budgets.is_uniform(config) else config.budget,
            ) as progress,
            share or contextlib.nullcontext(),
        ):
            while jobs.left():
                for response in responses(engine, schedule, jobs, each_call):
                    path = shards.path_of(response, encoder, asked.name)
                    if share:
                        share.add(path)
                        progress.move(share.wanted, share.made + share.by_others)
                    progress.add(path)


def expected_lengths(encoder: Encoder, problems: list[Problem], max_new: int) -> np.ndarray:
    """Returns the tokens to expect of each response: as many as the gold one has, or the most where that tells nothing.

    Only speed depends on it.
    """
    gold = encoder.response_lengths([problem.response for problem in problems])
    return np.where([bool(problem.response) for problem in problems], gold, max_new)
