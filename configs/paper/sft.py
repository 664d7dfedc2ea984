"""ICL and SFT of every model: the upper rows of the paper's table 1.

    python launch/pipeline.py --config=configs/paper/sft.py:tiny --workdir=OUT

`:full` is the paper's seven models on its A100s, with 8 worked examples before SFT; `:smollm2` is for one GPU.
Experiments in one workdir share their stages.

What to expect (paper): SFT gains 6 to 27 points over ICL, the fewer the better the model.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment("sft", size, ([*cells.icl(size, model), *cells.sft(size, model)] for model in size.names))
