"""Models of the hub by name: what is needed is fetched once, of one commit, and every obstacle is one line."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from huggingface_hub import constants, snapshot_download

from rft_jax.errors import UserError
from rft_jax.hf import located, names, pretrained, weights
from rft_jax.model import architecture
from rft_jax.remote import given
from tests.remote.fixtures import forget
from tests.remote.fixtures import hub as hub
from tests.remote.fixtures import no_hub as no_hub
from tests.remote.hub_server import TOKEN, Hub, Repository

ROOT = Path(__file__).parents[2]
BASE = ROOT / "rft_jax" / "world" / "base_model"
CONFIG = architecture.size("tiny-gqa")
SHARDS = {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A model of two shards and a tokenizer, and what else is in such a repository."""
    folder = tmp_path_factory.mktemp("made") / "model"
    random = np.random.default_rng(0)
    shapes = names.shapes(CONFIG)
    tensors = ((name, random.standard_normal(shape, np.float32)) for name, shape in shapes.items())
    size = 4 * sum(map(np.prod, shapes.values()))
    pretrained.write(
        folder, CONFIG, tensors, tokenizer_from=BASE, dtype=jnp.dtype(jnp.float32), shard_bytes=int(size * 0.6)
    )
    made = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert made.keys() > SHARDS
    return made | {
        "README.md": b"# A model",
        ".gitattributes": b"",
        "consolidated.safetensors": b"the same again",
        "pytorch_model.bin": b"and again",
        "onnx/config.json": b"{}",
        "original/params.json": b"{}",
    }


@pytest.fixture
def served(hub: Hub, files: dict[str, bytes]) -> Repository:
    """The model a/tiny of the hub."""
    hub.repositories["a/tiny"] = Repository()
    hub.repositories["a/tiny"].commit(files)
    return hub.repositories["a/tiny"]


def fetched(hub: Hub) -> set[str]:
    names = [name.removeprefix("a/tiny/") for name in hub.fetched]
    assert len(names) == len(set(names))
    hub.fetched.clear()
    return set(names)


def refuses(name: str, *words: str) -> None:
    """Finding the model raises one line that has all the words."""
    with pytest.raises(UserError) as caught:
        located.model(name)
    line = given.told(str(caught.value))
    assert "\n" not in line
    for word in words:
        assert word in line, line


NEEDED = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", weights.INDEX}


def test_what_is_needed_is_fetched_once(hub: Hub, served: Repository, files: dict[str, bytes]) -> None:
    settings = located.settings("hf:a/tiny")
    assert fetched(hub) >= NEEDED
    assert not any((settings / shard).exists() for shard in SHARDS)
    folder = located.model("hf:a/tiny")
    assert fetched(hub) == SHARDS
    assert folder.name == "tiny"
    there = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert there == {name: files[name] for name in there}
    assert there.keys() >= NEEDED | SHARDS
    assert not {"README.md", "consolidated.safetensors", "pytorch_model.bin", "onnx"} & there.keys()

    forget()
    hub.asked.clear()
    assert located.model("hf:a/tiny") == folder
    assert hub.asked == []


def test_it_loads_without_a_network(hub: Hub, served: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    located.model("hf:a/tiny")
    forget()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = pretrained.load(located.model("hf:a/tiny"), dtype=None, stacked=False)
    random = np.random.default_rng(0)
    expected = random.standard_normal(names.shapes(CONFIG)[weights.EMBEDDING], np.float32)
    found = [leaf for path, leaf in jax.tree.leaves_with_path(model) if "embedding" in jax.tree_util.keystr(path)]
    np.testing.assert_array_equal(found[0], expected)


def test_a_name_means_one_commit(hub: Hub, served: Repository, files: dict[str, bytes]) -> None:
    first = next(iter(served.commits))
    assert located.pinned("hf:a/tiny") == f"hf:a/tiny@{first}"
    old = located.model("hf:a/tiny")
    second = served.commit(files | {"config.json": files["config.json"] + b" "})
    assert located.pinned("hf:a/tiny") == f"hf:a/tiny@{first}"
    forget()  # another process, which has the cache
    assert located.pinned("hf:a/tiny") == f"hf:a/tiny@{first}"

    served.branches = {"v2": second, "feature/x": first}
    assert located.pinned("hf:a/tiny@v2") == f"hf:a/tiny@{second}"
    assert located.pinned("hf:a/tiny@feature/x") == f"hf:a/tiny@{first}"
    new = located.model(f"hf:a/tiny@{second}")
    assert (new / "config.json").read_bytes() == (old / "config.json").read_bytes() + b" "
    assert located.model("hf:a/tiny@v2") == new
    assert hub.fetched.count(f"a/tiny/{min(SHARDS)}") == 1  # in the second commit it is the same


def test_who_updates_the_cache_gets_the_new_commit(hub: Hub, served: Repository, files: dict[str, bytes]) -> None:
    located.model("hf:a/tiny")
    second = served.commit(files | {"config.json": files["config.json"] + b" "})
    forget()
    snapshot_download("a/tiny")
    assert located.pinned("hf:a/tiny") == f"hf:a/tiny@{second}"


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ([weights.SINGLE, weights.INDEX, *SHARDS, weights.TORCH_SINGLE], {weights.SINGLE}),
        ([weights.INDEX, *SHARDS, weights.TORCH_SINGLE], SHARDS),
        ([weights.TORCH_SINGLE, "training_args.bin"], {weights.TORCH_SINGLE}),
        (["model.fp16.safetensors"], set()),
    ],
)
def test_which_weights_are_taken(hub: Hub, files: dict[str, bytes], there: list[str], taken: set[str]) -> None:
    hub.repositories["a/tiny"] = Repository()
    hub.repositories["a/tiny"].commit(
        {"config.json": files["config.json"]} | {name: files.get(name, b"") for name in there}
    )
    folder = located.model("hf:a/tiny")
    assert {file.name for file in folder.iterdir() if file.suffix in (".safetensors", ".bin")} == taken


def test_what_another_program_downloaded_counts_and_no_more(
    hub: Hub, served: Repository, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot_download("a/tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with caplog.at_level(logging.WARNING):
        folder = located.model("hf:a/tiny")
    assert "whether all of it is there is not known, as HF_HUB_OFFLINE is set" in caplog.text
    assert not {"README.md", "consolidated.safetensors", "pytorch_model.bin"} & {file.name for file in folder.iterdir()}
    pretrained.load(folder, dtype=None, stacked=False)


def test_a_cache_made_by_hand(no_hub: Path, files: dict[str, bytes]) -> None:
    commit = "c" * 40
    repository = no_hub / "models--a--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for name, data in files.items():
        if "/" not in name:
            (snapshot / name).write_bytes(data)
    assert located.pinned("hf:a/tiny") == f"hf:a/tiny@{commit}"
    pretrained.load(located.model("hf:a/tiny"), dtype=None, stacked=False)

    forget()
    gone = sorted(SHARDS)[1]
    (snapshot / gone).unlink()
    refuses("hf:a/tiny", f"hf:a/tiny@{commit}", gone, "not in the cache", "HF_HUB_OFFLINE is set", "hf download a/tiny")


def test_gated_models(hub: Hub, served: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    served.gated = True
    refuses("hf:a/tiny", "gated", "accept its licence", f"{hub.address}/a/tiny", "HF_TOKEN", "hf auth login")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert located.model("hf:a/tiny").is_dir()


def test_a_model_that_becomes_gated_between_two_files(hub: Hub, served: Repository) -> None:
    located.settings("hf:a/tiny")
    served.gated = True
    refuses("hf:a/tiny", "cannot download hf:a/tiny@", "accept its licence")


@pytest.mark.parametrize("private", [False, True])
def test_missing_and_private_models(hub: Hub, served: Repository, private: bool) -> None:
    hub.repositories["a/secret"] = Repository(private=True)
    refuses(f"hf:a/{'secret' if private else 'none'}", "shows no model", "mind the name", "HF_TOKEN")


@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_unknown_revisions(hub: Hub, served: Repository, revision: str) -> None:
    refuses(f"hf:a/tiny@{revision}", f"hf:a/tiny@{revision}", f"no revision {revision}", f"{hub.address}/a/tiny")


def test_no_network(hub: Hub, served: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    refuses("hf:a/tiny", "hf:a/tiny is not in the cache", "does not answer", "hf download a/tiny")


def test_offline(no_hub: Path) -> None:
    refuses("hf:a/tiny", "hf:a/tiny is not in the cache", "HF_HUB_OFFLINE is set", "hf download a/tiny")


@pytest.mark.parametrize("name", ["hf:", "hf:tiny", "hf:a/b/c", "hf:a/tiny@", "hf:openai/gsm8k:main:train", "hf:../x"])
def test_malformed_names(no_hub: Path, name: str) -> None:
    refuses(name, "the form is hf:ORG/NAME or hf:ORG/NAME@REVISION")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["tiny.Q4_K_M.gguf", "README.md"], ["tiny.Q4_K_M.gguf", "llama.cpp", "was made from"]),
        (["adapter_config.json", "adapter_model.safetensors"], ["holds an adapter", "merge it"]),
        (["params.json", "consolidated.00.pth"], ["its maker's own format", "-hf"]),
        (["README.md"], ["has no config.json"]),
        ([], ["has no config.json"]),
    ],
)
def test_repositories_without_a_model(hub: Hub, files: list[str], words: list[str]) -> None:
    hub.repositories["a/tiny"] = Repository()
    hub.repositories["a/tiny"].commit(dict.fromkeys(files, b"{}"))
    refuses("hf:a/tiny", "hf:a/tiny", *words)
    assert hub.fetched == []


def test_no_room(hub: Hub, served: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    located.settings("hf:a/tiny")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    refuses("hf:a/tiny", "GB free", "HF_HOME")


def test_messages_have_the_name(hub: Hub, files: dict[str, bytes]) -> None:
    hub.repositories["a/tiny"] = Repository()
    commit = hub.repositories["a/tiny"].commit(files | {"config.json": b"[]"})
    with pytest.raises(UserError) as caught:
        pretrained.load(located.model("hf:a/tiny"), dtype=None, stacked=False)
    assert given.told(str(caught.value)) == f"hf:a/tiny@{commit}/config.json does not hold a JSON object"


@pytest.mark.slow
def test_processes_that_begin_together(hub: Hub, served: Repository, no_hub: Path) -> None:
    """As users run it: by environment variables, each in a process of its own."""
    environment = os.environ | {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_CACHE": str(no_hub),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }
    code = "from rft_jax.hf import located; print(located.model('hf:a/tiny'))"
    begun = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    folders = {process.communicate(timeout=100)[0].strip() for process in begun}
    assert [process.returncode for process in begun] == [0, 0, 0]
    (folder,) = map(Path, folders)
    assert all((folder / name).is_file() for name in NEEDED | SHARDS)
    assert fetched(hub) >= SHARDS
