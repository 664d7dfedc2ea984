"""The loop with the surprises of the reference's code, beside ours: preset `paper`, `rules=reference`, k - 1 samples.

    python launch/pipeline.py --config=configs/paper/faithful.py:tiny --workdir=OUT

TRAPS.md beside this file lists the surprises, and what is not reproduced. They are compared with our defaults: what is
better by more than chance is not the paper's, but owed to them.

What to expect (paper, Llama 2 7B): 41.6 % after SFT, 47.5 % after RFT.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment("faithful", size, (cells.faithful(size, size.base),))
