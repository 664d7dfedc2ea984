"""SFT on 1/2, 1/4 … of the problems, at constant epochs and at constant steps.

    python launch/pipeline.py --config=configs/paper/data_fraction.py:tiny --workdir=OUT

What to expect (paper): accuracy grows with the logarithm of the number of problems, by 4 to 8 points per doubling for
7B, less for better models. As many steps on fewer problems are worse than as many epochs, but for the smallest parts.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "data_fraction",
        size,
        (
            [*cells.sft(size, model, part), *cells.sft(size, model, part, steps=True)]
            for model in size.fraction_models
            for part in size.fractions
        ),
    )
