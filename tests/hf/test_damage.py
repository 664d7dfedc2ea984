"""A damaged weight file is one line that names it, wherever it was cut or changed."""

import json
import shutil
import sys

import pytest

from rft_jax.errors import UserError
from rft_jax.hf import names, pretrained, safetensors, weights
from tests.hf.test_errors import FP32, QUERY, TINY, refuses, zeros


@pytest.fixture
def folder(tmp_path):
    pretrained.write(tmp_path / "model", TINY, zeros().items(), tokenizer_from=None, dtype=FP32)
    return tmp_path / "model"


def test_a_truncated_file(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refuses(folder, str(path), "again")


def test_any_cut_and_any_changed_byte_of_the_header(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for length in [*range(0, header, 97), *range(header, len(whole), 4999)]:
        path.write_bytes(whole[:length])
        refuses(folder, str(folder), load=lambda: weights.find(folder))
    path.write_bytes(whole + b"\0")
    refuses(folder, str(path), "the data ends at byte", load=lambda: weights.find(folder))
    before = weights_of(whole, path, folder)
    for place in range(0, header, 13):
        for flipped in (1, 2, 16, 128):
            changed = bytearray(whole)
            changed[place] ^= flipped
            try:
                assert weights_of(changed, path, folder) == before  # a changed byte of the padding or the metadata
            except UserError as error:
                line = str(error)
                assert len(line.splitlines()) == 1


def weights_of(contents, path, folder):
    path.write_bytes(contents)
    found = weights.find(folder)
    weights.check(folder, found, names.shapes(TINY))
    return {name: stored.array.tobytes() for name, stored in found.items()}


def test_a_gap_and_an_overlap(folder):
    for second in ((20, 36), (8, 24)):
        with_header(folder, {"x": entry(), "y": entry(offsets=second)}, data=b"\0" * second[1])
        refuses(folder, str(folder / "model.safetensors"), f"y begins at byte {second[0]}, not 16")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
@pytest.mark.parametrize("change", ["folder", "empty", "half"])
def test_a_damaged_file_is_named(folder, name, change):
    path = folder / name
    if name.endswith("index.json"):
        (folder / "model.safetensors").rename(folder / "a.safetensors")
        path.write_text(json.dumps({"weight_map": dict.fromkeys(zeros(), "a.safetensors")}))
    whole = path.read_bytes()
    path.unlink()
    if change == "folder":
        path.mkdir()
    else:
        path.write_bytes(whole[: len(whole) // 2 if change == "half" else 0])
    refuses(folder, str(path))


def test_an_index_that_does_not_go_with_its_shards(folder):
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    safetensors.write(folder / "b.safetensors", {}, FP32, [])
    index = {"weight_map": dict.fromkeys(zeros(), "a.safetensors") | {QUERY: "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refuses(folder, f"says that b.safetensors holds {QUERY}")


def with_header(folder, header, data=b"\0" * 64, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    prefix = (len(text) if length is None else length).to_bytes(8, "little")
    (folder / "model.safetensors").write_bytes(prefix + text + data)


def entry(dtype: object = "F32", shape=(4,), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"not json", ["no valid safetensors header"]),
        (b"\xff\xfe", ["no valid safetensors header"]),
        (b"[" * 100_000, ["no valid safetensors header"]),
        ([], ["no valid safetensors header"]),
        ({"x": 3}, ["no valid safetensors header"]),
        ({"x": {"dtype": "F32"}}, ["no valid safetensors header"]),
        ({"x": entry(offsets=(0, 16, 32))}, ["no valid safetensors header"]),
        ({"x": entry(offsets=(-16, 0))}, ["no valid safetensors header"]),
        ({"x": entry(offsets=(16, 0))}, ["no valid safetensors header"]),
        ({"x": entry(offsets=(0.0, 16.0))}, ["no valid safetensors header"]),
        ({"x": entry(shape=(-4, -1))}, ["no valid safetensors header"]),
        ({"x": entry(dtype=[])}, ["no valid safetensors header"]),
        ({"x": entry(offsets=(56, 72))}, ["truncated", "x ends at byte"]),
        ({"x": entry(offsets=(2**63, 2**63 + 16))}, ["truncated"]),
        ({"x": entry(shape=(2**40, 2**40))}, ["does not take 16 bytes"]),
        ({"x": entry(dtype="F8_E4M3")}, ["x is stored as F8_E4M3", "BF16, F16, F32"]),
    ],
)
def test_a_header_is_never_trusted(folder, header, words):
    with_header(folder, header)
    refuses(folder, str(folder / "model.safetensors"), *words)


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 200])
def test_a_headers_length_is_never_trusted(folder, length):
    with_header(folder, {}, length=length)
    refuses(folder, str(folder / "model.safetensors"), "not a whole safetensors file")


def test_a_git_lfs_pointer(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refuses(folder, "git-lfs pointer", "git lfs pull")


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({"weight_map": {"x": "model-00002-of-00002.safetensors"}}, ["model-00002-of-00002.safetensors", "missing"]),
        ({"weight_map": {"x": "../model.safetensors"}}, ["not a file name"]),
        ({"weight_map": {"x": 3}}, ["no weight_map"]),
        ({}, ["no weight_map"]),
    ],
)
def test_an_index_that_is_wrong(folder, index, words):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refuses(folder, str(folder / "model.safetensors.index.json"), *words)


def test_a_tensor_in_two_shards(folder):
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    shutil.copy(folder / "a.safetensors", folder / "b.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refuses(folder, "twice", "model.embed_tokens.weight")


class TestLegacy:
    @pytest.fixture
    def legacy(self, folder):
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"nothing that torch knows")
        return folder

    def test_without_torch(self, legacy, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch", None)
        refuses(legacy, "pytorch_model.bin needs torch")

    def test_any_cut(self, legacy):
        torch = pytest.importorskip("torch", reason="legacy files are read by torch: install the extra `torch`")
        path = legacy / "pytorch_model.bin"
        torch.save({name: torch.from_numpy(array) for name, array in zeros().items()}, path)
        pretrained.load(legacy, dtype=None, stacked=True)
        whole = path.read_bytes()
        for length in range(0, len(whole), len(whole) // 29):
            path.write_bytes(whole[:length])
            refuses(legacy, str(path), "damaged", load=lambda: weights.find(legacy))

    def test_damaged(self, legacy):
        pytest.importorskip("torch", reason="legacy files are read by torch: install the extra `torch`")
        refuses(legacy, "pytorch_model.bin is damaged")

    @pytest.mark.parametrize(("contents", "words"), [([1], "dictionary"), ({"x": 3}, "dictionary")])
    def test_no_tensors(self, legacy, contents, words):
        torch = pytest.importorskip("torch", reason="legacy files are read by torch: install the extra `torch`")
        torch.save(contents, legacy / "pytorch_model.bin")
        refuses(legacy, words)

    def test_a_pickle_that_would_run_code(self, legacy):
        torch = pytest.importorskip("torch", reason="legacy files are read by torch: install the extra `torch`")
        torch.save({"x": print}, legacy / "pytorch_model.bin")
        refuses(legacy, "damaged, or not a file of tensors")

    def test_integers(self, legacy):
        torch = pytest.importorskip("torch", reason="legacy files are read by torch: install the extra `torch`")
        torch.save({"x": torch.ones(3, dtype=torch.int64)}, legacy / "pytorch_model.bin")
        refuses(legacy, "x is stored as torch.int64")
