"""What is no model that can be read, or is mixed of two, is told by what it is, in one line."""

import json

import numpy as np
import pytest
import tokenizers
import transformers
from safetensors import numpy as numpy_safetensors

from rft_jax.data import prompt_format, tokenizer
from rft_jax.hf import config as hf_config
from rft_jax.hf import located, pretrained, weights
from tests.hf.test_errors import FP32, QUERY, TINY, change_config, refuses, zeros
from tests.hf.test_errors import folder as folder

BASE = {"base_model_name_or_path": "meta-llama/Llama-2-7b-hf", "peft_type": "LORA"}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"adapter_config.json": json.dumps(BASE)}, ["adapter", "merge it into meta-llama/Llama-2-7b-hf", "peft"]),
        ({"adapter_config.json": "{"}, ["holds an adapter", "its base model"]),
        ({"llama-7b.Q4_0.gguf": ""}, ["llama-7b.Q4_0.gguf", "llama.cpp", "was made from"]),
        ({"params.json": "{}", "consolidated.00.pth": ""}, ["its maker's own format", "-hf"]),
    ],
)
def test_what_is_no_model_folder(tmp_path, files, words):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    refuses(tmp_path, str(tmp_path), *words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("llama.gguf", ["is a GGUF file", "Hugging Face folder"]),
        ("model.safetensors", ["weights alone", "the folder that it lies in"]),
    ],
)
def test_a_file_given_as_a_model(tmp_path, name, words):
    (tmp_path / name).write_text("")
    for find in (located.model, located.settings, hf_config.read):
        refuses(tmp_path, str(tmp_path / name), *words, load=lambda find=find: find(tmp_path / name))


GROUP = {"weights": {"num_bits": 8, "type": "float"}, "targets": ["Linear"]}  # as llm-compressor writes it


@pytest.mark.parametrize(
    ("quantised", "by"),
    [
        (lambda: transformers.BitsAndBytesConfig(load_in_4bit=True), "bitsandbytes (4 bit)"),
        (lambda: transformers.BitsAndBytesConfig(load_in_8bit=True), "bitsandbytes (8 bit)"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "GPTQ (4 bit)"),
        (lambda: transformers.AwqConfig(bits=4), "AWQ (4 bit)"),
        (
            {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {"group_0": GROUP}},
            "compressed-tensors (float-quantized, FP8)",
        ),
        (lambda: transformers.FineGrainedFP8Config(), "FP8"),
        ({"quant_method": "sesame"}, '"sesame"'),
        ({"bits": 4}, ""),
        (["nonsense"], ""),
    ],
)
def test_quantised_checkpoints_by_config(folder, quantised, by):
    if callable(quantised):
        pytest.importorskip("torch", reason="transformers' classes need it: install the extra `torch`")
        quantised = quantised().to_dict()
    change_config(folder, quantization_config=quantised)
    said = f"weights are quantized by {by};" if by else "weights are quantized;"
    refuses(folder, str(folder / "config.json"), "quantization_config", said, "bf16, fp16 or fp32")


@pytest.mark.parametrize(
    ("name", "code", "by"),
    [
        ("model.layers.0.mlp.up_proj.qweight", "I32", "GPTQ or AWQ"),
        ("model.layers.0.mlp.up_proj.weight.absmax", "U8", "bitsandbytes (4 bit)"),
        ("model.layers.0.mlp.up_proj.SCB", "I8", "bitsandbytes (8 bit)"),
        ("model.layers.0.mlp.up_proj.weight_packed", "I32", "compressed-tensors"),
        ("model.layers.0.mlp.up_proj.weight", "F8_E4M3", "FP8"),
    ],
)
def test_quantised_checkpoints_by_tensors(folder, name, code, by):
    size = 4 if code == "I32" else 1
    header = json.dumps({name: {"dtype": code, "shape": [1], "data_offsets": [0, size]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    refuses(folder, str(folder / "model.safetensors"), name, f"quantized by {by};", "bf16, fp16 or fp32")


def test_models_that_bring_their_code(folder):
    change_config(folder, model_type="internlm2", auto_map={"AutoModelForCausalLM": "modeling_x.XForCausalLM"})
    refuses(folder, str(folder / "config.json"), "code of its own", "modeling_x.XForCausalLM", "trust_remote_code")
    change_config(folder, model_type="llama", auto_map={"AutoConfig": "configuration_x.XConfig"})
    pretrained.load(folder, dtype=None, stacked=True)


# Shards of two revisions.


@pytest.fixture
def sharded(tmp_path):
    size = sum(array.nbytes for array in zeros().values())
    pretrained.write(
        tmp_path / "sharded", TINY, zeros().items(), tokenizer_from=None, dtype=FP32, shard_bytes=int(size * 0.6)
    )
    pretrained.load(tmp_path / "sharded", dtype=None, stacked=True)
    return tmp_path / "sharded"


def change_index(folder, change):
    index = json.loads((folder / weights.INDEX).read_text())
    change(index)
    (folder / weights.INDEX).write_text(json.dumps(index))


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_a_shard_of_another_dtype(sharded):
    shard = {name: array.astype(np.float16) for name, array in numpy_safetensors.load_file(sharded / SECOND).items()}
    numpy_safetensors.save_file(shard, sharded / SECOND, {"format": "pt"})
    refuses(sharded, weights.INDEX, "total_size", "are all of one checkpoint?")


def test_an_index_of_another_revision(sharded):
    change_index(sharded, lambda index: index["weight_map"].pop(QUERY))
    refuses(sharded, f"holds {QUERY}, of which", weights.INDEX, "of one checkpoint?")
    change_index(sharded, lambda index: index["weight_map"].update({QUERY: SECOND, "lm_head.weight": FIRST}))
    refuses(sharded, weights.INDEX, f"says that {FIRST} holds lm_head.weight", "of one checkpoint?")


def test_shards_of_two_countings(sharded):
    other = "model-00002-of-00003.safetensors"
    (sharded / SECOND).rename(sharded / other)

    def rename(index):
        index["weight_map"] = {name: other if of == SECOND else of for name, of in index["weight_map"].items()}

    change_index(sharded, rename)
    refuses(sharded, FIRST, other, "shards of two checkpoints")


@pytest.mark.parametrize("metadata", [..., {}, {"total_size": 0}, None])
def test_an_index_need_not_tell_the_size(sharded, metadata):
    change_index(sharded, lambda index: index.pop("metadata") if metadata is ... else index.update(metadata=metadata))
    pretrained.load(sharded, dtype=None, stacked=True)


# The tokenizer.


def words(count, **special):
    """A tokenizer of so many words."""
    vocabulary = {f"w{number}": number for number in range(count)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="w0"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special)


def choose(folder, loaded):
    return prompt_format.choose(folder, loaded, name=None, task=None, template=None, begin_token=None, end_tokens=None)


def test_a_tokenizer_larger_than_the_embedding(folder):
    asked = choose(folder, words(300, eos_token="w2"))
    refuses(folder, "300 tokens", "embedding 256", "another model's", load=lambda: asked.encoder(words(300), 256))
    larger = words(256, pad_token="[PAD]")  # an added one that no text has
    assert len(larger) == 257
    asked.encoder(larger, 256)


def test_a_tokenizer_of_another_family(folder):
    change_config(folder, bos_token_id=1)
    choose(folder, words(9, bos_token="w1", eos_token="w2"))
    choose(folder, words(9, eos_token="w2"))
    words_of_llama_3 = words(9, bos_token="w5", eos_token="w2")
    refuses(
        folder,
        str(folder),
        "with token 1",
        "with 5 ('w5')",
        "another model's",
        load=lambda: choose(folder, words_of_llama_3),
    )


def test_a_tokenizer_that_is_code(folder):
    (folder / "tokenizer.json").write_text("{}")
    fields = {
        "tokenizer_class": "QWenTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_qwen.QWenTokenizer", None]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(fields))
    refuses(folder, "code of its own", "QWenTokenizer", "trust_remote_code", load=lambda: tokenizer.load(folder))
