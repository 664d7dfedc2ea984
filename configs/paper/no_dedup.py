"""RFT on every right path, on a half and on a quarter of them.

    python launch/pipeline.py --config=configs/paper/no_dedup.py:tiny --workdir=OUT

What to expect (paper): 400,000 rows without dedup against 47,000 with it: +1.9, -0.8, -2.2 and -1.1 points.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment(
        "no_dedup", size, (cells.rft_by(size, model, "none", part) for model in size.curve_models for part in (1, 2, 4))
    )
