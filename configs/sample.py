"""Sampling k paths of each problem from a model.

    python launch/sample.py --config=configs/sample.py --config.model=DIR --config.problems=FILE --config.k=100 \
        --workdir=OUT

writes OUT/paths/*.jsonl. Repeating the command samples only what is missing; a larger k adds to the existing paths; any
number of these commands with one --workdir, on any hosts, share the work. `--config.budget=distinct=4` and others
decide by what comes back how many of the k samples each problem gets (rft_jax/budget/README.md).

`configs/sample.py:paper` does what the reference's script silently did: it samples from the 50 most likely tokens only
(its library's default), and cuts prompts to their last 256 tokens. `configs/sample.py:SIZE`, or `SIZE:paper`, splits
the model over as many A100-80GBs as hold it with a cache for hundreds of rows beside (one for up to 13B, two for 33B,
four for 65B and 70B), as often as there are devices. On half as many it fits, too, with few rows and so slowly
(BUILD.md, "Plans for the paper's runs").

What to expect on GSM8K's training problems from a model fine-tuned on them (paper, table 2): of 100 paths per problem,
53 (7B) to 72 (13B-2) are right; the mean response has 131 tokens, and hardly any reaches 256.
"""

import dataclasses

from rft_jax.config import MeshConfig, SampleConfig
from rft_jax.errors import UserError, did_you_mean

# A100-80GBs that hold the weights in bf16 and a roomy cache beside them, where not 1.
TENSOR = {"llama-33b": 2, "llama-65b": 4, "llama2-70b": 4}
SIZES = (
    "llama-7b", "llama2-7b", "llama-13b", "llama2-13b", "llama-33b", "llama-65b", "llama2-70b",
)  # fmt: skip


def get_config(argument: str = "") -> SampleConfig:
    """Returns the settings for `SIZE` or for no particular size: without filters, or with `paper` the paper's."""
    size, _, preset = argument.partition(":") if argument != "paper" else ("", "", argument)
    if size and size not in SIZES:
        known = (*SIZES, "paper")
        raise UserError(f"configs/sample.py has no '{size}'{did_you_mean(size, known)}; known: {', '.join(known)}")
    if preset not in ("", "paper"):
        raise UserError(f"configs/sample.py has no preset '{preset}'; known: paper")
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
        mesh=MeshConfig(data=-1, fsdp=1, tensor=TENSOR.get(size, 1)),
        rows=None,
    )
    return dataclasses.replace(config, top_k=50, prompt_tokens=256) if preset else config
