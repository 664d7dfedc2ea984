"""A model goes to the hub in one commit, in the place of what was there, or nothing changes."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from rft_jax.errors import UserError
from rft_jax.remote import hub_push
from tests.remote.hub_server import OWNER, TOKEN, Hub, Repository

NAME = f"{OWNER}/tiny"
NEW: dict[str, bytes] = {".gitattributes": b""}  # what the hub puts into a new repository
# huggingface_hub uploads by a way that httpx will not have for ever.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like a model, of two shards."""
    made = tmp_path / "made"
    made.mkdir()
    for number in (1, 2):
        (made / f"model-0000{number}-of-00002.safetensors").write_bytes(bytes([number]) * 100_000)
    (made / "config.json").write_text("{}")
    (made / "README.md").write_text("---\nlibrary_name: transformers\n---\n\n# Model\n")
    return made


@pytest.fixture
def token(no_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs in."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def pushed(hub: Hub) -> list[dict[str, bytes]]:
    return list(hub.repositories[NAME].commits.values()) if NAME in hub.repositories else []


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.usefixtures("token")
def test_a_new_repository(hub: Hub, folder: Path, private: bool) -> None:
    hub_push.check(NAME)
    assert not hub.repositories
    address = hub_push.push(folder, NAME, private=private)
    assert pushed(hub) == [NEW, NEW | contents(folder)]
    assert hub.repositories[NAME].private == private
    assert address == f"{hub.address}/{NAME}/commit/{hub.repositories[NAME].resolve('main')}"


@pytest.mark.usefixtures("token")
def test_another_model_there_is_replaced_in_the_same_commit(hub: Hub, folder: Path) -> None:
    before = dict.fromkeys(["model.safetensors", "pytorch_model.bin", "tokenizer.json", "x[1].bin"], b"old")
    stay = dict.fromkeys(
        ["LICENSE", "a.png", "results.json", "eval/results.json", "onnx/model.bin", "a/b/tokenizer.json"], b"old"
    )
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit(before | stay | {"README.md": b"old"})
    hub_push.push(folder, NAME, private=True)
    assert pushed(hub)[1:] == [contents(folder) | stay]
    assert not hub.repositories[NAME].private  # it stays as it is


@pytest.mark.usefixtures("token")
def test_only_the_commit_shows_anything(hub: Hub, folder: Path) -> None:
    hub.broken = f"/api/models/{NAME}/commit"
    with pytest.raises(UserError) as caught:
        hub_push.push(folder, NAME, private=True)
    line = str(caught.value)
    assert "\n" not in line
    assert f"cannot push to {NAME}: " in line
    assert f"the model is whole in {folder}" in line
    assert any("/upload/" in asked for asked in hub.asked)
    assert pushed(hub) == [NEW]


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "a/b@main", "../x", ""])
def test_malformed_names(no_hub: Path, name: str) -> None:
    with pytest.raises(UserError, match="the form is"):
        hub_push.check(name)


def test_nobody_is_logged_in(hub: Hub, folder: Path) -> None:
    with pytest.raises(UserError, match=f"--push={NAME}: a token that may write to {OWNER} .* or set HF_TOKEN"):
        hub_push.check(NAME)


def test_a_token_that_is_not_known(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match=f"--push={NAME}: a token that may write to {OWNER}") as caught:
        hub_push.check(NAME)
    assert "hf_wrong" not in str(caught.value)


@pytest.mark.usefixtures("token")
def test_somebody_elses_repository(hub: Hub, folder: Path) -> None:
    with pytest.raises(UserError, match=r"cannot push to other/tiny: a token that may write to other is needed"):
        hub_push.push(folder, "other/tiny", private=True)
    assert not hub.repositories


@pytest.mark.usefixtures("token")
def test_no_network(no_hub: Path) -> None:
    with pytest.raises(UserError, match=f"--push={NAME}: HF_HUB_OFFLINE is set: unset it"):
        hub_push.check(NAME)


@pytest.mark.usefixtures("token")
def test_the_hub_does_not_answer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UserError, match=f"--push={NAME}: .*onnect"):
        hub_push.check(NAME)
