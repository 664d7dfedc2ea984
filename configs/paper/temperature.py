"""RFT on paths of a higher temperature.

    python launch/pipeline.py --config=configs/paper/temperature.py:tiny --workdir=OUT

What to expect (paper, 33B at T = 1.0): fewer right paths (82.4 for 88.7 of 100), more distinct ones (4.77 for 2.78).
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment("temperature", size, (cells.rft_hot(size, model) for model in size.hot_models))
