"""Evaluating a model on problems with gold answers.

    python launch/evaluate.py --config=configs/evaluate.py --config.model=DIR --config.problems=test.jsonl --workdir=OUT

writes OUT/metrics.json (accuracies by each grader, with 95 % intervals), OUT/results.jsonl (problem by problem) and
OUT/paths. maj1@1 is from one greedy path. `--config.k=100` adds maj1@100 and pass@k from 100 samples at T = 0.7;
`--config.against=OUT1,OUT2` compares with other evaluations, problem by problem; `--config.groups=level,type` breaks
accuracy down by fields of the problems; `--config.cluster=template` makes intervals that allow for problems of one
template resembling each other. `configs/evaluate.py:paper` samples as the reference does;
`configs/evaluate.py:shots` shows 8 worked examples to a model that was only pre-trained, taken from
`--config.shots_from=train.jsonl`.

`configs/evaluate.py:SET` evaluates on a set of the hub, each model being asked as it was trained:

| set | problems | judged by | broken down by |
|---|---|---|---|
| math | the 5,000 test problems of MATH | boxed answers | level, type |
| math500 | 500 of them | the same | level, subject |
| gsm_plus | GSM-Plus, GSM8K's test changed in 8 ways | a number, or `None` if none can be known | perturbation_type |
| gsm_symbolic, gsm_p1, gsm_p2 | GSM-Symbolic: 50 instances of each template, its id | GSM8K's | id |

What to expect on GSM8K's test problems (paper, table 1): 41.6 % for Llama 2 7B after SFT, 14.6 % with 8 shots. On 1,319
problems, a difference between two models of less than about 2 points means nothing. GSM-Symbolic's instances of one
template resemble each other, so its intervals go by template.
"""

import dataclasses

from rft_jax.config import EvaluateConfig, MeshConfig
from rft_jax.errors import UserError, did_you_mean


def get_config(argument: str = "") -> EvaluateConfig:
    """Returns the settings: zero-shot without filters, the paper's, few-shot, or those for a set of the hub."""
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
    symbolic = dataclasses.replace(config, task=":question,answer", groups=("id",), cluster="id")
    math = dataclasses.replace(config, task=":problem,solution", grader="boxed", max_new_tokens=1024)
    presets = {
        "": config,
        "paper": dataclasses.replace(config, k=100, top_k=50, prompt_tokens=256),
        "shots": dataclasses.replace(config, shots=8),
        "math": dataclasses.replace(
            math, problems="hf:DigitalLearningGmbH/MATH-lighteval:default:test", groups=("level", "type")
        ),
        "math500": dataclasses.replace(
            math, problems="hf:HuggingFaceH4/MATH-500:default:test", groups=("level", "subject")
        ),
        "gsm_plus": dataclasses.replace(
            config,
            problems="hf:qintongli/GSM-Plus:default:test",
            task=":question,solution,answer",
            grader="number_or_none",
            groups=("perturbation_type",),
            max_new_tokens=512,
        ),
        "gsm_symbolic": dataclasses.replace(symbolic, problems="hf:apple/GSM-Symbolic:main:test"),
        "gsm_p1": dataclasses.replace(symbolic, problems="hf:apple/GSM-Symbolic:p1:test"),
        "gsm_p2": dataclasses.replace(symbolic, problems="hf:apple/GSM-Symbolic:p2:test", max_new_tokens=512),
    }
    if argument not in presets:
        known = ", ".join(name for name in presets if name)
        raise UserError(f"configs/evaluate.py has no '{argument}'{did_you_mean(argument, presets)}; known: {known}")
    return presets[argument]
