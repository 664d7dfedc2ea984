"""Accuracy against the pre-training loss, before and after SFT: the paper's first finding.

    python launch/pipeline.py --config=configs/paper/pretraining_loss.py:tiny --workdir=OUT

The paper takes its losses from others' plots of pre-training. Here each model's loss is measured on one text that none
was trained on: `:full` and `:smollm2` take WikiText's test set, `:tiny` 500 rows of its noisy corpus. Losses per token
compare models with one tokenizer; the report gives bits per byte, too.

What to expect (paper): accuracy after SFT falls linearly with the loss, from 54.6 % at 1.62 to 35.9 % at 1.8.
"""

from rft_jax.config import PipelineConfig
from rft_jax.paper import cells, preset
from rft_jax.paper.experiment import experiment


def get_config(argument: str = "tiny") -> PipelineConfig:
    """Returns the experiment at a size: full, smollm2 or tiny."""
    size = preset.load(argument)
    return experiment("pretraining_loss", size, (cells.pretraining_loss(size, model) for model in size.names))
