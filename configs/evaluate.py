"""Evaluating a model on problems with gold answers.

    python launch/evaluate.py --config=configs/evaluate.py --config.model=DIR --config.problems=test.jsonl --workdir=OUT

writes OUT/metrics.json (accuracies by each grader, with 95 % intervals), OUT/results.jsonl (problem by problem) and
OUT/paths. maj1@1 is from one greedy path. `--config.k=100` adds maj1@100 and pass@k from 100 samples at T = 0.7;
`--config.against=OUT1,OUT2` compares with other evaluations, problem by problem. `configs/evaluate.py:paper` samples as
the reference does; `configs/evaluate.py:shots` shows 8 worked examples to a model that was only pre-trained, taken from
`--config.shots_from=train.jsonl`.

What to expect on GSM8K's test problems (paper, table 1): 41.6 % for Llama 2 7B after SFT, 14.6 % with 8 shots. On 1,319
problems, a difference between two models of less than about 2 points means nothing.
"""

import dataclasses

from rft_jax.config import EvaluateConfig, MeshConfig
from rft_jax.errors import UserError, did_you_mean


def get_config(argument: str = "") -> EvaluateConfig:
    """Returns the settings: zero-shot without filters, the paper's, or few-shot."""
    config = EvaluateConfig(
        k=0,
        temperature=0.7,
        top_k=None,
        top_p=None,
        min_p=None,
        seed=0,
        max_new_tokens=256,
        prompt_tokens=None,
        begin_token=None,
        end_tokens=None,
        shots=0,
        shots_from=None,
        compute="auto",
        mesh=MeshConfig(data=-1, fsdp=1, tensor=1),
        rows=None,
    )
    presets = {
        "": config,
        "paper": dataclasses.replace(config, k=100, top_k=50, prompt_tokens=256),
        "shots": dataclasses.replace(config, shots=8),
    }
    if argument not in presets:
        raise UserError(
            f"configs/evaluate.py has no '{argument}'{did_you_mean(argument, presets)}; known: paper, shots"
        )
    return presets[argument]
