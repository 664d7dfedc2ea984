"""Transformers' Trainer as a peer: a process that takes one step per message and reports its cost."""

import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from rft_jax.benchmark.train_turns import peak_bytes

_IGNORED = -100


def train(turns: Connection, folder: str, settings: dict[str, Any], examples: list[tuple[np.ndarray, int]]) -> None:
    """Trains with the Trainer: says when it is ready, then before each step waits for a message, and after it replies.

    Args:
        turns: connection to the measuring process; any message starts a step, and the reply is its `Measured`.
            After the last one the peak memory follows, in bytes.
        folder: folder of the model.
        settings: arguments of transformers.TrainingArguments.
        examples: for each example, in training order, its int64 tokens and the number of prompt tokens among them.
    """
    import torch
    import transformers

    class TakeTurns(transformers.TrainerCallback):
        def on_train_begin(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            turns.send("ready")

        def on_step_begin(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            turns.recv()
            self.before = time.perf_counter(), time.process_time()

        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            self.spent = time.perf_counter() - self.before[0], time.process_time() - self.before[1]

        def on_log(self, arguments: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                turns.send((*self.spent, float(logs["loss"])))

    class InOrder(transformers.Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    def pad(rows: list[torch.Tensor], value: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

    def collate(rows: list[tuple[np.ndarray, int]]) -> dict[str, torch.Tensor]:
        tokens = [torch.from_numpy(tokens) for tokens, _ in rows]
        labels = [tokens.clone() for tokens in tokens]
        for label, (_, prompt) in zip(labels, rows, strict=True):
            label[:prompt] = _IGNORED
        seen = [torch.ones_like(tokens) for tokens in tokens]
        return {"input_ids": pad(tokens, 0), "labels": pad(labels, _IGNORED), "attention_mask": pad(seen, 0)}

    transformers.utils.logging.disable_progress_bar()
    trainer = InOrder(
        model=transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        args=transformers.TrainingArguments(
            output_dir=f"{folder}/trainer",
            logging_steps=1,
            logging_first_step=True,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            **settings,
        ),
        train_dataset=examples,
        data_collator=collate,
        callbacks=[TakeTurns()],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    turns.send(peak_bytes())
