"""Distinct right paths among the samples for the test problems, before and after RFT.

    python launch/pipeline.py --config=configs/paper/test_paths.py:tiny --workdir=OUT

The samples are those that vote for maj1@k.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "test_paths", size, (cells.test_paths(size, model) for model in size.voting if model in size.students)
    )
