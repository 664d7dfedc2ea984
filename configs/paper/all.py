"""All of the paper's experiments, in one workdir; what two of them need is made once.

    python launch/pipeline.py --config=configs/paper/all.py:tiny --workdir=OUT

`:tiny` takes less than 90 minutes on two cores, `:smollm2` is for one GPU, `:full` the paper's size. See the README
beside this file for what the miniature shows, and what not.
"""

from pathlib import Path

from rft_jax.config import PipelineConfig
from rft_jax.config_flag import load
from rft_jax.paper import experiment, preset


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiments of a size: full, smollm2 or tiny."""
    here = Path(__file__)
    others = (file for file in sorted(here.parent.glob("*.py")) if file.name != here.name)
    return experiment.together(preset.load(argument), (load(f"{file}:{argument}", PipelineConfig) for file in others))
