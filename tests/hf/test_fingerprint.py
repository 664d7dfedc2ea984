"""Models that differ in a few tensors have different fingerprints, and what was recorded before is still recognised."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from rft_jax.hf import fingerprint
from rft_jax.hf.fingerprint import of_model, of_weights, same
from rft_jax.pipeline import stage

# Of Qwen2.5-0.5B but for fewer words and layers: more than what is read whole.
SHAPES = {"embed": (30000, 896)} | {
    f"layers.{layer}.{name}": shape
    for layer in range(6)
    for name, shape in {"mlp": (4864, 896), "q_proj": (896, 896), "v_proj": (128, 896), "norm": (896,)}.items()
}


def make(folder: Path, tensor: str = "", seed: int = 0) -> Path:
    """Makes a model of zeros, of which one tensor has other values; the file has holes, so it takes no room."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    header, end = {}, 0
    for name, shape in SHAPES.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    encoded = json.dumps(header).encode()
    start = 8 + len(encoded)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.truncate(start + end)
        if tensor:
            low, high = header[tensor]["data_offsets"]
            file.seek(start + low)
            file.write(np.random.default_rng(seed).bytes(high - low))
    return folder


def before_of_weights(folder: Path) -> str:
    """Returns what was recorded until 2026-11-26: eight pieces of each file."""
    digest = hashlib.sha256()
    for file in (folder / "config.json", folder / "model.safetensors"):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}".encode())
        for part in range(8):
            digest.update(content[(at := len(content) * part // 8) : at + 65536])
    return digest.hexdigest()[:16]


def before_of_files(folder: Path, end: str, whole: int, piece: int) -> str:
    """Returns what was recorded until 2026-11-26 of a folder: 64 pieces of each large file."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}{end}".encode())
        for part in range(64) if len(content) > whole else ():
            digest.update(content[(at := (len(content) - piece) * part // 63) : at + piece])
        digest.update(content if len(content) <= whole else b"")
    return digest.hexdigest()[:16]


def of_stage(folder: Path) -> str:
    return stage.fingerprint(str(folder))


@pytest.mark.parametrize("of", [of_weights, of_model, of_stage])
def test_every_tensor_counts(tmp_path: Path, of) -> None:
    prints = [of(make(tmp_path / "base"))]
    assert of(make(tmp_path / "copy")) == prints[0]
    for number, tensor in enumerate(SHAPES):
        prints.append(of(make(tmp_path / str(number), tensor)))
    assert len(set(prints)) == 1 + len(SHAPES)
    assert not any(same(prints[0], other) for other in prints[1:])
    parts = [each.split("-")[0] for each in prints]
    assert len(set(parts)) < len(prints)  # the places of before miss some


def test_what_was_recorded_before_is_recognised(tmp_path: Path) -> None:
    folder = make(tmp_path / "base", "embed")
    recorded = {
        of_weights: before_of_weights(folder),
        of_model: before_of_files(folder, " ", 64 * 4096, 4096),
        of_stage: before_of_files(folder, "\n", 64 << 20, 65536),
    }
    other = make(tmp_path / "other", "embed", seed=1)
    for of, before in recorded.items():
        assert re.fullmatch("[0-9a-f]{16}-[0-9a-f]{16}", of(folder))
        assert same(before, of(folder))
        assert same(of(folder), before)
        assert not same(before, of(other))
    record = stage.Record(True, (), {}, outputs={"model.safetensors": of_stage(folder / "model.safetensors")[:16]})
    assert record.fault(folder) is None


def test_small_files_have_one_form(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert stage.fingerprint(str(tmp_path)) == before_of_files(tmp_path, "\n", 64 << 20, 65536)


def test_texts_are_read_whole(tmp_path: Path) -> None:
    prints = set()
    for changed in (b"", b"x"):
        with (tmp_path / "rows.jsonl").open("wb") as file:
            file.truncate((64 << 20) + 1000)
            file.seek(700_001)
            file.write(changed)
        prints.add(stage.fingerprint(str(tmp_path / "rows.jsonl")))
    assert len(prints) == 2


def test_files_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(fingerprint, "_WHOLE_BYTES", 1000)
    prints = []
    (tmp_path / "config.json").write_text("{}")
    for tensor, crc in ((0, True), (1, True), (2, True), (0, False), (1, False)):
        torch.serialization.set_crc32_options(crc)
        tensors = {name: torch.zeros(200_000 + name) for name in range(10)}
        tensors[tensor][33_333 if crc else slice(None)] = 1
        torch.save(tensors, tmp_path / "pytorch_model.bin")
        prints.append(of_weights(tmp_path))
    torch.serialization.set_crc32_options(True)
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(
    "head",
    [b"", b"\xff" * 8, (30).to_bytes(8, "little") + b'{"a": {"data_offsets": "x1"}}  ', b"PK\x03\x04", b"{" * 99],
)
def test_a_file_of_unknown_form_is_sampled_as_well(tmp_path, monkeypatch, suffix, head) -> None:
    monkeypatch.setattr(fingerprint, "_WHOLE_BYTES", 1000)
    prints = set()
    (tmp_path / "config.json").write_text("{}")
    for place in (0, 1_500_000, 2_600_000):
        content = bytearray(3_000_000)
        content[place : place + 200_000] = b"x" * 200_000
        (tmp_path / f"x.{suffix}").write_bytes(head + content)
        prints.add(of_weights(tmp_path))
    assert len(prints) == 3
