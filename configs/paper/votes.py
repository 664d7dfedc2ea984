"""maj1@k, the vote of k samples, after ICL, SFT and RFT: the values in brackets in the paper's table 1.

    python launch/pipeline.py --config=configs/paper/votes.py:tiny --workdir=OUT

What to expect (paper, k = 100): voting adds 10 to 18 points to the greedy path after SFT, and about as many after RFT.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "votes",
        size,
        (
            [*cells.icl(size, model), *(cells.rft if model in size.students else cells.sft)(size, model)]
            for model in size.voting
        ),
    )
