"""Several rounds: the model of a round samples for the next, and its paths join those that are there.

    python launch/pipeline.py --config=configs/paper/rounds.py:tiny --workdir=OUT

The paper has one round.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "rounds", size, (cells.later_round(size, size.base, number) for number in range(2, size.rounds + 1))
    )
