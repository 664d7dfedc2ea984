"""RFT on the united paths of several models, U13B and U33B: the last rows of the paper's table 1.

    python launch/pipeline.py --config=configs/paper/unions.py:tiny --workdir=OUT

The report says which models found which paths.

What to expect (paper): up to 7.6 points above a model's own paths, the more the weaker the model; 12.84 and 13.65
distinct paths per problem; 15.5 % of U33B's paths were found by 13B-2 alone.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "unions",
        size,
        (
            cells.union(size, model, teachers, name)
            for name, teachers in (("u13b", size.union13), ("u33b", size.union33))
            for model in size.union_students
        ),
    )
