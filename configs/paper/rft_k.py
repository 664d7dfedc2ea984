"""RFT on what is selected from the first k samples: the paper's table 2, from one run of sampling.

    python launch/pipeline.py --config=configs/paper/rft_k.py:tiny --workdir=OUT

What to expect (paper): accuracy grows with k as distinct paths do, by 2 to 6 points from k = 1 to 100. Distinct paths
grow more slowly than k, from 1.2 to 5.3 per problem; at k = 1 that seems to include the gold path.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "rft_k",
        size,
        (
            [*cells.rft(size, model), *(stage for k in size.ks for stage in cells.rft_at_k(size, model, k))]
            for model in size.curve_models
        ),
    )
