"""Broken tokenizer folders: one line each, which names what to look at, and nothing that lies in them is run."""

import json
import shutil

import pytest

from rft_jax.data import tokenizer
from rft_jax.errors import UserError
from tests import tokenizers

CONFIG, JSON, MODEL = "tokenizer_config.json", "tokenizer.json", "tokenizer.model"


@pytest.fixture
def folder(tmp_path):
    """The folder of a good tokenizer, to be broken."""
    return tokenizers.load("qwen-like", tmp_path).folder


def _complaint(folder):
    with pytest.raises(UserError) as caught:
        tokenizer.load(folder)
    (line,) = str(caught.value).splitlines()
    return line


def _configure(folder, **fields):
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps(config | fields), encoding="utf-8")


@pytest.mark.parametrize("name", [JSON, CONFIG, "special_tokens_map.json", "added_tokens.json"])
@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe{}", b"[1]", b"5", b"null", b"[" * 100_000])
def test_a_file_that_is_no_json_object_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    assert str(folder / name) in _complaint(folder)


@pytest.mark.parametrize("name", [JSON, CONFIG])
def test_a_directory_in_place_of_a_file_is_named(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    assert str(folder / name) in _complaint(folder)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_named(folder, part):
    content = (folder / JSON).read_bytes()
    (folder / JSON).write_bytes(content[: int(part * len(content))])
    assert str(folder / JSON) in _complaint(folder)


def test_an_object_that_is_no_tokenizer_is_refused(folder):
    (folder / JSON).write_text("{}", encoding="utf-8")
    assert str(folder) in _complaint(folder)
    (folder / JSON).write_text('{"model": {"type": "Unheard"}, "added_tokens": []}', encoding="utf-8")
    assert str(folder) in _complaint(folder)


def test_a_class_that_transformers_does_not_know_is_named(folder):
    _configure(folder, tokenizer_class="UnheardTokenizer")
    assert "'UnheardTokenizer'" in _complaint(folder)


@pytest.mark.parametrize("name", ["BertTokenizer", "GPT2Tokenizer", "GPTNeoXTokenizerFast", "GemmaTokenizer"])
def test_a_class_that_makes_other_tokens_than_the_file_is_refused(folder, name):
    _configure(folder, tokenizer_class=name)
    assert "PreTrainedTokenizerFast" in _complaint(folder)
    _configure(folder, tokenizer_class="PreTrainedTokenizerFast")
    tokenizer.load(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [("tokenizer_class", 5), ("model_max_length", "many"), ("chat_template", 5), ("bos_token", 5)],
)
def test_a_field_of_another_kind_is_named(folder, field, value):
    _configure(folder, **{field: value})
    assert field in _complaint(folder)


@pytest.mark.parametrize("known", [False, True])
def test_code_in_the_folder_is_not_run(folder, known, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    trace = folder / "it ran"
    (folder / "planted.py").write_text(f"open({str(trace)!r}, 'w')\nclass Planted: pass\n", encoding="utf-8")
    _configure(folder, auto_map={"AutoTokenizer": [None, "planted.Planted"]})
    if known:
        tokenizer.load(folder)
    else:
        _configure(folder, tokenizer_class="Planted")
        assert "'Planted'" in _complaint(folder)
    assert not trace.exists()


def test_nothing_that_a_tokenizer_could_be_read_from(tmp_path):
    assert str(tmp_path / "absent") in _complaint(tmp_path / "absent")
    assert str(tmp_path) in _complaint(tmp_path)
    (tmp_path / JSON).symlink_to(tmp_path / "gone")
    assert str(tmp_path) in _complaint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, b"IQ== 0\nIg== 1\n"])
def test_a_tokenizer_model_that_is_none_is_named(folder, content):
    (folder / JSON).unlink()
    (folder / MODEL).write_bytes(content)
    assert str(folder / MODEL) in _complaint(folder)


def test_a_directory_in_place_of_tokenizer_model_is_named(folder):
    (folder / JSON).unlink()
    (folder / MODEL).mkdir()
    assert str(folder / MODEL) in _complaint(folder)


def test_a_real_tokenizer_model_cut_short_or_without_its_settings_is_refused(tmp_path):
    source = tokenizers.load("llama2", tmp_path).folder
    content = (source / MODEL).read_bytes()
    (tmp_path / MODEL).write_bytes(content[:200_000])
    assert str(tmp_path / MODEL) in _complaint(tmp_path)
    # Without a class, transformers writes the first word without the space that sentencepiece puts before it.
    (tmp_path / MODEL).write_bytes(content)
    assert "LlamaTokenizer" in _complaint(tmp_path)
    shutil.copyfile(source / CONFIG, tmp_path / CONFIG)
    tokenizer.load(tmp_path)
