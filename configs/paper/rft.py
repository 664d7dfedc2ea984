"""RFT on each model's own paths, beside its controls: the lower rows of the paper's table 1.

    python launch/pipeline.py --config=configs/paper/rft.py:tiny --workdir=OUT

The pipeline adds the controls: SFT for as many steps, and as many right paths drawn at random. The paper has neither.

What to expect (paper): 4.8 to 6.1 points above SFT for 7B to 13B, none for 33B.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment("rft", size, (cells.rft(size, model) for model in size.students))
