"""The loss on text: that of transformers' torch models, each token counted once, bytes counted by hand."""

import gzip
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_jax import runtime
from rft_jax.config import MeshConfig
from rft_jax.errors import UserError
from rft_jax.evaluate import documents, text_loss
from rft_jax.evaluate.documents import Document, Text
from rft_jax.hf import pretrained
from rft_jax.one_writer import one_writer
from rft_jax.pipeline.stage_settings import root
from tests.model.conftest import make_pair  # noqa: F401, a fixture
from tests.odd_texts import fixed_odd_texts
from tests.remote.fixtures import hub as hub
from tests.remote.fixtures import no_hub as no_hub
from tests.remote.hub_server import Repository

BASE = root() / "rft_jax" / "world" / "base_model"
TEXTS = ["Tom has 3 pens.\nHe buys £5 more – naïve…", "1+1=2", "x" * 300 + " </s> is text here"]
PROMPT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{}\n\n### Response:"
)
SETTINGS = {
    "fields": (), "window": None, "stride": None, "batch": 8, "compute": "float32",
    "mesh": MeshConfig(data=1, fsdp=-1, tensor=1),
}  # fmt: skip


@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 20), st.data())
def test_each_token_of_the_text_counts_once(text: int, before: int, length: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, length))
    document = Document(np.zeros(before + text, np.int32), before, 0)
    counted = []
    for number, (start, stop, counts_from) in enumerate(documents.windows(document, length, stride)):
        assert 0 < stop - start <= length
        now = list(range(max(counts_from, start + 1), stop + 1))
        assert counts_from >= start + 1 or not counted
        assert number == 0 or all(token - start >= length - stride + 1 for token in now)
        counted += now
    assert counted == list(range(max(before, 1), before + text))


def by_torch(model, tokens: np.ndarray, before: int, window: int, stride: int) -> float:
    """Returns the loss, token by token, each in the first window that has it."""
    import torch

    logits = {}
    total = 0.0
    for target in range(before, len(tokens)):
        start = stride * max(0, math.ceil((target - window) / stride))
        if start not in logits:
            with torch.no_grad():
                seen = torch.tensor(tokens[start : start + window][None]).long()
                logits[start] = torch.log_softmax(model(input_ids=seen).logits[0].double(), -1)
        total -= float(logits[start][target - 1 - start, tokens[target]])
    return total


@pytest.mark.parametrize(
    ("kind", "tensor"),
    [
        ("llama2-gqa", 2),
        pytest.param("llama2-gqa", 1, marks=pytest.mark.slow),
        pytest.param("qwen2-two-windows", 1, marks=pytest.mark.slow),
    ],
)
def test_as_transformers_has_it(make_pair, kind, tensor):  # noqa: F811, the fixture
    pair = make_pair(kind)
    rng = np.random.default_rng(0)
    lengths = [(1, 1), (12, 1), (31, 2), (13, 1), (40, 1)]
    whole = [Document(rng.integers(0, 96, text + before).astype(np.int32), before, 0) for text, before in lengths]
    mesh = runtime.make_mesh(1, -1, tensor)
    model = pretrained.load(pair.folder, mesh, dtype=jnp.float32, stacked=True)
    ours = text_loss.of_documents(model, whole, mesh, window=12, stride=5, batch=3, dtype=jnp.dtype(jnp.float32))
    theirs = [by_torch(pair.torch, each.tokens, each.before, 12, 5) for each in whole]
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert np.ptp(np.array(theirs) / [text for text, _ in lengths]) > 0.1  # no constant would do


def measured(tmp_path, model=BASE, text=TEXTS, files=(), **settings):
    files = list(files)
    for number, each in enumerate(text or ()):
        files.append(str(tmp_path / f"{number}.txt"))
        (tmp_path / f"{number}.txt").write_bytes(each.encode())
    told = text_loss.measure(str(model), files, tmp_path / "loss.json", **SETTINGS | settings)
    return told, json.loads((tmp_path / "loss.json").read_text())


@pytest.mark.slow
def test_the_embedded_base_model_as_transformers_has_it(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch", reason="the oracle is transformers' torch Llama: install the extra `torch`")
    told, found = measured(tmp_path, window=64, stride=16)
    model = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype="float32").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(BASE)
    losses, tokens = [], 0
    for text in TEXTS:
        ids = tokenizer(text, split_special_tokens=True)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.eos_token_id not in ids
        tokens += len(ids) - 1
        losses.append(by_torch(model, np.array(ids), 1, 64, 16))
    size = 46 + 5 + 318  # three-byte signs: – and …; two-byte ones: £ and ï
    assert (found["documents"], found["tokens"], found["bytes"], found["before"]) == (3, tokens, size, [1])
    assert found["nats_per_token"]["mean"] == pytest.approx(sum(losses) / tokens, rel=1e-5)
    assert found["bits_per_byte"]["mean"] == pytest.approx(sum(losses) / math.log(2) / size, rel=1e-5)
    assert found["nats_per_token"]["low"] < found["nats_per_token"]["mean"] < found["nats_per_token"]["high"]
    assert f"{found['bits_per_byte']['mean']:.4f} bits per byte" in told
    assert found["made_by"]["devices"] == {"cpu": 8}


def test_responses_after_their_prompts_as_transformers_has_it(tmp_path):
    """The loss is on what SFT learns: the response and its end, after the paper's prompt."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch", reason="the oracle is transformers' torch Llama: install the extra `torch`")
    problems = [("1+1?", "<<1+1=2>>2\n#### 2"), ("How many pens has Tom?", "#### 3")]
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in problems))
    _, found = measured(tmp_path, text=None, files=[str(file)], window=64, stride=16, task="gsm8k")
    model = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype="float32").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(BASE)
    losses, tokens = [], 0
    for question, answer in problems:
        prompt = tokenizer(PROMPT.format(question))["input_ids"]
        response = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        tokens += len(response)
        losses.append(by_torch(model, np.array([*prompt, *response]), len(prompt), 64, 16))
    assert (found["documents"], found["tokens"], found["task"], found["before"]) == (2, tokens, "gsm8k", None)
    assert found["bytes"] == sum(len(answer) for _, answer in problems)
    assert found["nats_per_token"]["mean"] == pytest.approx(sum(losses) / tokens, rel=1e-5)


@pytest.mark.slow
def test_batches_and_their_order_change_nothing_but_rounding(tmp_path):
    one, other = (measured(tmp_path, text=text, batch=batch)[1] for text, batch in ((TEXTS, 1), (TEXTS[::-1], 20)))
    assert one["nats_per_token"]["mean"] == pytest.approx(other["nats_per_token"]["mean"], rel=1e-6)
    assert one["text_fingerprint"] != other["text_fingerprint"]
    assert one["model_fingerprint"] == other["model_fingerprint"]


def test_one_document_has_no_interval(tmp_path):
    told, found = measured(tmp_path, text=TEXTS[:1])
    assert found["nats_per_token"]["low"] is found["bits_per_byte"]["high"] is None
    assert "(" not in told


def test_a_model_of_the_hub_is_named_with_its_commit(tmp_path, hub, monkeypatch):
    monkeypatch.setattr(text_loss, "of_documents", lambda _, whole, *others, **settings: np.ones(len(whole)))
    hub.repositories["a/base"] = Repository()
    commit = hub.repositories["a/base"].commit({file.name: file.read_bytes() for file in BASE.iterdir()})
    assert measured(tmp_path, "hf:a/base", TEXTS[:1])[1]["model"] == f"hf:a/base@{commit}"


def test_rows_are_documents_and_fields_are_joined(tmp_path):
    rows = [{"question": "1+1?", "answer": "2"}, {"question": "é", "answer": "#### 3"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with gzip.open(tmp_path / "text.txt.gz", "wt") as file:
        file.write("1+1?\n2")
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbf1+1?")
    assert read(tmp_path / "rows.jsonl", "question", "answer") == ["1+1?\n2", "é\n#### 3"]
    assert read(tmp_path / "rows.jsonl", "answer") == ["2", "#### 3"]
    assert read(tmp_path / "text.txt.gz") == ["1+1?\n2"]
    assert read(tmp_path / "marked.txt") == ["1+1?"]


def read(file, *fields):
    return [each.text for each in documents.texts([str(file)], fields)]


def test_windows_are_sorted_in_groups(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    whole = [Document(rng.integers(0, 9, 3 + n % 40).astype(np.int32), 1, 0) for n in range(50)]
    monkeypatch.setattr(text_loss, "_SORTED", 2)
    counted = np.zeros(50, int)
    for numbers, (_, _, counts) in text_loss._batches(whole, 8, 4, rows=3):
        np.add.at(counted, numbers, counts.sum(1)[: len(numbers)])
    assert counted.tolist() == [each.predicted for each in whole]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"window": 513}, r"--window=513: the model has 512 positions"),
        ({"window": 8, "stride": 9}, r"--stride=9 leaves out tokens between windows of 8"),
        ({"fields": ("text",)}, r"0\.txt:1: "),
        ({"text": ["x", " \n"]}, r"1\.txt: the text is empty"),
        ({"model": root() / "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_told_before_the_model_is_loaded(tmp_path, monkeypatch, settings, told):
    monkeypatch.setattr(pretrained, "load", None)
    with pytest.raises(UserError, match=told):
        measured(tmp_path, **settings)
    assert not (tmp_path / "loss.json").exists()


def test_other_mistakes(tmp_path, monkeypatch):
    row = '{"a": 1}\n'
    for name, content in (("rows.jsonl", row), ("rows.ndjson", row), ("rows", row), ("latin.txt", "é")):
        (tmp_path / name).write_text(content, encoding="latin-1")
    for name, fields, told in (
        ("rows.jsonl", [], "has rows: name the field that holds the text"),
        ("rows.ndjson", [], "has rows: name the field that holds the text"),
        ("rows", [], "has rows: name the field that holds the text"),
        ("rows.jsonl", ["b"], "row 1: no field \"b\"; the row has 'a'"),
        ("rows.jsonl", ["a"], '"a" is 1, not a text'),
        ("latin.txt", [], "latin.txt:1: not UTF-8 at byte 1 of the line"),
        ("none.txt", [], "no such file"),
    ):
        with pytest.raises(UserError, match=told):
            list(documents.texts([str(tmp_path / name)], fields))
    rows = str(tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match=r"rows\.jsonl is to be read and written"):
        text_loss.measure(str(BASE), [rows], tmp_path / "rows.jsonl", **SETTINGS | {"fields": ("a",)})
    lock = tmp_path / ".loss.json.writer"
    with one_writer(tmp_path / "loss.json", lock), pytest.raises(UserError, match=r"loss\.json is being written by"):
        measured(tmp_path)
    with pytest.raises(UserError, match="in a folder that exists"):
        text_loss.measure(str(BASE), ["x"], tmp_path / "no" / "loss.json", **SETTINGS)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(UserError, match="by one process"):
        measured(tmp_path)


class Bare:
    """A tokenizer that puts nothing before a text."""

    bos_token_id, eos_token_id = None, 9

    def __call__(self, text, **_):
        return {"input_ids": [1] if isinstance(text, str) else [[1]] * len(text)}

    def decode(self, ids, **_):
        return "x" * len(ids)


def encoded(tokenizer, vocabulary, text="x"):
    return list(documents.encoded([Text("a.txt", text)], tokenizer, vocabulary, Path("folder")))


def test_what_stands_before_a_text_where_the_tokenizer_puts_nothing():
    (found,) = encoded(Bare(), 10)
    assert (found.tokens.tolist(), found.before, found.bytes) == ([9, 1], 1, 1)
    bare = Bare()
    bare.bos_token_id = 3
    assert encoded(bare, 10)[0].tokens.tolist() == [3, 1]
    with pytest.raises(UserError, match="makes the token 1 of 'x'"):
        encoded(Bare(), 1)
    bare.bos_token_id = bare.eos_token_id = None
    with pytest.raises(UserError, match="neither a bos nor an eos token"):
        encoded(bare, 10)


def test_a_text_that_the_tokenizer_loses_is_refused():
    """Its unk token would be predicted well."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "<unk>": 1, "the": 2, "cat": 3}, "<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", unk_token="<unk>")
    assert encoded(tokenizer, 4, "the cat")[0].tokens.tolist() == [0, 2, 3]
    with pytest.raises(UserError, match=r"a\.txt: the tokenizer cannot write this text: 'the cat quark' comes back as"):
        encoded(tokenizer, 4, "the cat quark")


def test_tokenizers_of_every_kind_lose_what_they_are_said_to_lose(sample_tokenizer):
    if sample_tokenizer.name == "wordpiece":  # some short texts it keeps
        with pytest.raises(UserError, match="'A  cat' comes back as 'a cat'"):
            encoded(sample_tokenizer.tokenizer, 10**9, "A  cat")
        return
    composes = sample_tokenizer.name == "qwen-like"  # which loses nothing
    wrong = []
    for text in filter(str.strip, fixed_odd_texts(300)):
        try:
            encoded(sample_tokenizer.tokenizer, 10**9, text)
            kept = True
        except UserError:
            kept = False
        if kept != (composes or sample_tokenizer.keeps(text)):
            wrong.append(text)
    assert wrong == []
