"""Sampling k paths of each problem from a model.

    python launch/sample.py --config=configs/sample.py --config.model=DIR --config.problems=FILE --config.k=100 \
        --workdir=OUT

writes OUT/paths/*.jsonl. Repeating the command samples only what is missing; a larger k adds to the existing paths; any
number of these commands with one --workdir, on any hosts, share the work. `configs/sample.py:paper` does what the
reference's script silently did: it samples from the 50 most likely tokens only (its library's default), and cuts
prompts to their last 256 tokens.

What to expect on GSM8K's training problems from a model fine-tuned on them (paper, table 2): of 100 paths per problem,
53 (7B) to 72 (13B-2) are right; the mean response has 131 tokens, and hardly any reaches 256.
"""

import dataclasses

from rft_jax.config import MeshConfig, SampleConfig
from rft_jax.errors import UserError, did_you_mean


def get_config(argument: str = "") -> SampleConfig:
    """Returns the settings: without filters, or the paper's."""
    config = SampleConfig(
        k=100,
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
    if argument == "paper":
        return dataclasses.replace(config, top_k=50, prompt_tokens=256)
    if argument:
        raise UserError(f"configs/sample.py has no '{argument}'{did_you_mean(argument, ['paper'])}; known: paper")
    return config
