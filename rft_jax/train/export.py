"""What a finished run leaves for others: a model's folder, or adapters' alone."""

from pathlib import Path

import jax.numpy as jnp

from rft_jax.hf import adapter, pretrained
from rft_jax.hf.sidecars import PromptSidecar
from rft_jax.model import llama
from rft_jax.model.adapters import Adapters
from rft_jax.model.llama import Llama
from rft_jax.remote import hub
from rft_jax.train.origin import Origin


def export(
    trained: Llama | Adapters,
    frozen: Llama | None,
    origin: Origin,
    workdir: Path,
    *,
    dtype: jnp.dtype,
    alone: bool,
    tokenizer_from: Path,
    prompt: PromptSidecar,
) -> Path:
    """Writes the folder, whole or not at all, and returns it: `workdir/model` or `workdir/adapter`.

    Args:
        trained: the model, or adapters.
        frozen: what these are of.
        origin: of the run.
        workdir: of the run.
        dtype: of a model's weights.
        alone: whether adapters are written alone, and not added to the weights.
        tokenizer_from: the folder whose tokenizer goes along.
        prompt: how the model is asked.

    Raises:
        UserError: no room or no permission to write.
    """
    folder = workdir / ("adapter" if alone else "model")
    if isinstance(trained, Llama):
        pretrained.save(trained, folder, tokenizer_from=tokenizer_from, dtype=dtype, prompt=prompt)
        return folder
    assert frozen is not None
    assert origin.lora is not None
    if alone:
        base, revision = _base(origin.model)
        adapter.save(
            trained, origin.lora.adapters, origin.architecture, folder, base=base, revision=revision,
            tokenizer_from=tokenizer_from, prompt=prompt,
        )  # fmt: skip
    else:
        model = llama.with_adapters(frozen, trained)
        pretrained.save(model, folder, tokenizer_from=tokenizer_from, dtype=dtype, prompt=prompt)
    return folder


def _base(model: str) -> tuple[str, str | None]:
    """Returns what PEFT loads beneath the adapters of a model, and its commit: of the hub, or a folder."""
    return hub.split(model) if hub.is_model(model) else (str(Path(model).absolute()), None)
