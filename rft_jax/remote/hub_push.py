"""A model folder that goes to the hub as one commit: whoever reads the repository finds all of it or nothing new."""

import glob
import re
import sys
from pathlib import Path

from rft_jax.errors import UserError
from rft_jax.remote import hub
from rft_jax.remote.message import one_line

# What an earlier model in the repository may have been read from. Its history keeps them.
_OF_A_MODEL = re.compile(
    r"[^/]+\.(safetensors|bin|index\.json|jinja|model)|(\w+_)?config\.json|tokenizer\.json|vocab\.(json|txt)|merges\.txt"
    r"|(added_tokens|special_tokens_map|chat_template|prompt_format)\.json"
)


def check(repository: str) -> None:
    """Finds out before hours of work whether the hub can be reached and knows this user.

    Args:
        repository: ORG/NAME.

    Raises:
        UserError: the name is malformed, there is no token, or the hub does not take it.
    """
    if "@" in repository:
        raise UserError(f"--push={repository}: the form is ORG/NAME")
    hub.split(f"{hub.PREFIX}{repository}")
    try:
        hub.library().HfApi().whoami()
    except hub.errors() as error:
        raise UserError(f"--push={repository}: {_why(error, repository)}") from None


def push(folder: Path, repository: str, *, private: bool) -> str:
    """Uploads a folder, and returns the address of the commit.

    What another model could be read from there goes away in the same commit.

    Args:
        folder: whole.
        repository: ORG/NAME; made if it does not exist.
        private: whether to make it so that others do not see it; one that exists stays as it is.

    Raises:
        UserError: the hub does not take it; nothing has changed there but that the repository may be new and empty.
            Where only the reply was lost, all of it is there.
    """
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        api = hub.library().HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        there = api.list_repo_files(repository)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="Model exported by rft_jax",
            # Names, not patterns: of these a * would match in the folders too, which are others' (onnx/, results).
            delete_patterns=[glob.escape(name) for name in there if _OF_A_MODEL.fullmatch(name)],
        )
    except hub.errors() as error:
        raise UserError(
            f"cannot push to {repository}: {_why(error, repository)}; the model is whole in {folder}, and on the hub "
            "there is all of it or nothing"
        ) from None
    return str(commit.commit_url)


def _why(error: Exception, repository: str) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalTokenNotFoundError

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set: unset it"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, LocalTokenNotFoundError) or status in (401, 403):
        owner = repository.partition("/")[0]
        return f"a token that may write to {owner} is needed: `hf auth login`, or set HF_TOKEN ({one_line(error)})"
    return one_line(error)
