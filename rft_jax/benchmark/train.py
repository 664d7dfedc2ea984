"""Useful tokens a second in training, beside transformers' Trainer on the same model, examples and batch size.

The two take turns, step by step in one process, because the speed of a shared machine drifts. Both compute in fp32 and
use AdamW. The Trainer pads each of its micro-batches to the longest, as its users do; we pack. There is no Llama
tokenizer here, so one is trained on GSM8K itself, with as many rows as give Llama's lengths (PERFORMANCE.md: prompts of
101 tokens on average, responses of 131); the model has Llama's 32,000 rows all the same.
"""

import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rft_jax import config_flag, runtime
from rft_jax.config import TrainConfig
from rft_jax.data import examples
from rft_jax.data.batches import Batches
from rft_jax.data.examples import Examples
from rft_jax.errors import UserError
from rft_jax.model import architecture, hf
from rft_jax.reasoning import prompt
from rft_jax.reasoning.problem import read_problems
from rft_jax.train import assemble, start, step

_TOKENIZER_ROWS = 2300
_BEGIN, _END, _IGNORED = 1, 2, -100


def settings(data: str, batch: int) -> TrainConfig:
    """Returns our side's settings: configs/sft.py's, and what suits a CPU and 58 M parameters."""
    return dataclasses.replace(
        config_flag.load("configs/sft.py", TrainConfig),
        size="bench-58m", data=data, batch=batch, max_length=512, row_length=512, accumulation=max(1, batch // 16),
        remat="none", loss_chunk=512,
    )  # fmt: skip


def run(config: TrainConfig, *, steps: int, microbatch: int) -> list[str]:
    """Measures both, and the memory of our step.

    Args:
        config: of our side, as `settings` makes it; model, data, batch, seed and optimizer are the Trainer's too.
        steps: to measure, after one that warms up.
        microbatch: examples that the Trainer takes at once.

    Returns:
        The lines of a table.

    Raises:
        UserError: the data, transformers' Trainer or one of the packages that it needs is missing.
    """
    size = architecture.size(str(config.size))
    known = gsm8k(str(config.data), config.max_length)
    mesh = runtime.make_mesh(config.mesh.data, config.mesh.fsdp, config.mesh.tensor)
    with jax.set_mesh(mesh), tempfile.TemporaryDirectory() as scratch:
        batches = assemble.batches_of(config, known, mesh.shape["data"] * mesh.shape["fsdp"])
        optimizer, take_step = assemble.make_training(config, batches.steps)
        source = start.source(None, None, config.size, config.seed)
        state = step.make_state(source.load(mesh), optimizer, mesh)
        hf.save(state.model, scratch, tokenizer_from=None, dtype=jnp.dtype(jnp.float32))
        compiled = take_step.lower(state, *step.put(batches[0], False, mesh)).compile()
        analysis: Any = compiled.memory_analysis()

        def our_step(number: int) -> float:
            nonlocal state
            state, metrics = take_step(state, *step.put(batches[number], False, mesh))
            return float(metrics["loss"])

        ours, theirs = take_turns(config, batches, Path(scratch), our_step, steps + 1, microbatch)
    useful = [int(known.lengths[batches.numbers(number)].sum()) for number in range(steps + 1)]
    filled, slots = np.sum([batches.sizes(number) for number in range(1, steps + 1)], axis=0)
    lines = [
        f"{config.size}, {size.parameters / 1e6:.0f} M parameters, {config.batch} examples a step, {steps} steps, "
        f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores; prompts {known.prompts.mean():.0f} tokens, "
        f"responses {known.responses.mean():.0f}",
        f"{'':24}{'useful tokens/s':>16}{'a CPU second':>14}{'seconds a step':>16}{'first loss':>12}{'last':>8}",
    ]
    for name, measured in (("rft_jax", ours), ("transformers Trainer", theirs)):
        wall, cpu, losses = (list(column) for column in zip(*measured, strict=True))
        rates = [statistics.median(np.divide(useful[1:], seconds[1:])) for seconds in (wall, cpu)]
        lines.append(
            f"{name:24}{rates[0]:16.0f}{rates[1]:14.0f}{statistics.median(wall[1:]):16.1f}{losses[0]:12.4f}"
            f"{losses[-1]:8.4f}"
        )
    ratios = [
        statistics.median(other[column] / mine[column] for mine, other in zip(ours[1:], theirs[1:], strict=True))
        for column in (0, 1)
    ]
    rows = slots // steps // config.accumulation
    need = analytic_bytes(config, size, int(rows))
    lines += [
        f"ratio {ratios[0]:.2f} by the clock, {ratios[1]:.2f} by CPU time; our padding {1 - filled / slots:.1%}",
        f"our step's temporaries {analysis.temp_size_in_bytes / 1e9:.2f} GB; analytic need {need / 1e9:.2f} GB",
    ]
    return lines


def gsm8k(path: str, max_length: int) -> Examples:
    """Returns GSM8K's training examples with a tokenizer of its own."""
    import tokenizers

    problems = read_problems(path)
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),  # as Llama's
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=_TOKENIZER_ROWS, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    texts = [prompt.training_text(problem.question, problem.response)[0] for problem in problems]
    made.train_from_iterator(texts, trainer)

    def encode(texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in made.encode_batch(texts)]

    return examples.tokenise(problems, encode, begin=_BEGIN, end=_END, max_length=max_length)


Measured = list[tuple[float, float, float]]  # seconds, CPU seconds and loss of each step


def take_turns(
    config: TrainConfig,
    batches: Batches,
    folder: Path,
    our_step: Callable[[int], float],
    steps: int,
    microbatch: int,
) -> tuple[Measured, Measured]:
    """Lets the Trainer train the model in `folder`, and before each of its steps takes one of ours."""
    try:
        import torch
        import transformers

        transformers.TrainingArguments(output_dir=str(folder / "probe"), report_to=[])
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the benchmark's peer is not here ({reason}): pip install torch accelerate") from error
    ours: Measured = []
    theirs: Measured = []

    class TakeTurns(transformers.TrainerCallback):
        def on_step_begin(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            number = len(ours)
            ours.append(_timed(lambda: our_step(number)))
            self.before = time.perf_counter(), time.process_time()

        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            wall, cpu = time.perf_counter() - self.before[0], time.process_time() - self.before[1]
            theirs.append((wall, cpu, float("nan")))

        def on_log(self, arguments: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                theirs[-1] = (*theirs[-1][:2], logs["loss"])

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    transformers.utils.logging.disable_progress_bar()
    numbers = np.concatenate([batches.numbers(number) for number in range(steps)])
    trainer = InOrder(
        model=transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32),
        args=transformers.TrainingArguments(
            output_dir=str(folder / "trainer"),
            max_steps=steps,
            per_device_train_batch_size=microbatch,
            gradient_accumulation_steps=config.batch // microbatch,
            learning_rate=config.learning_rate,
            warmup_steps=math.ceil(config.warmup * batches.steps),  # of a whole run, so that the rates are ours
            lr_scheduler_type=config.decay,
            max_grad_norm=config.clip,
            logging_steps=1,
            logging_first_step=True,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=[_torch_example(torch, batches.examples, int(number)) for number in numbers],
        data_collator=lambda rows: _padded(torch, rows),
        callbacks=[TakeTurns()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return ours, theirs


def _timed(take: Callable[[], float]) -> tuple[float, float, float]:
    before, cpu_before = time.perf_counter(), time.process_time()
    loss = take()
    return time.perf_counter() - before, time.process_time() - cpu_before, loss


def _torch_example(torch: Any, known: Examples, number: int) -> dict[str, Any]:
    tokens = torch.tensor(known[number].astype(np.int64))
    labels = tokens.clone()
    labels[: known.prompts[number]] = _IGNORED
    return {"input_ids": tokens, "labels": labels}


def _padded(torch: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    def pad(name: str, value: int) -> Any:
        return torch.nn.utils.rnn.pad_sequence([row[name] for row in rows], batch_first=True, padding_value=value)

    tokens = pad("input_ids", 0)
    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    seen = (torch.arange(tokens.shape[1]) < lengths[:, None]).to(torch.int64)
    return {"input_ids": tokens, "labels": pad("labels", _IGNORED), "attention_mask": seen}


def analytic_bytes(config: TrainConfig, size: architecture.LlamaConfig, tokens: int) -> float:
    """Returns what one part of `tokens` tokens must hold beside the state, without remat, in fp32.

    Gradients (twice when parts are added up); for each layer its input, norms, query, key, value, context, the scores
    and weights of attention and the products of the MLP; and one chunk of logits with its gradient.
    """
    gradients = (1 if config.accumulation == 1 else 2) * size.parameters
    heads = (size.heads * 2 + size.kv_heads * 2) * size.head_width
    layer = tokens * (4 * size.width + heads + 2 * size.heads * config.row_length + 4 * size.mlp_width)
    loss = 3 * config.loss_chunk * size.vocabulary + size.vocabulary * size.width
    return 4.0 * (gradients + size.layers * layer + loss)
