"""Other rules of selection on the same samples: every right path, as many drawn at random, the nearest of each list.

    python launch/pipeline.py --config=configs/paper/rules.py:tiny --workdir=OUT

The paper's rule keeps of the paths with one list of equations the one farthest from the others. `random` keeps as many
paths (it is a control, and so always there): it says what choosing distinct ones gives. `nearest` keeps the opposite of
each list, and `none` all. Of these, the paper has `none`.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment("rules", size, (cells.rft_by(size, size.base, rules) for rules in ("none", "nearest")))
