"""The models that a pipeline starts from."""

from rft_jax.config import PipelineConfig
from rft_jax.errors import UserError
from rft_jax.hf import config as hf_config
from rft_jax.hf import located


def check(config: PipelineConfig) -> None:
    """Raises UserError if a model to start from is missing, before anything has run."""
    for name, folder in named_folders(config.models).items():
        try:
            hf_config.read(located.settings(folder))
        except UserError as error:
            raise UserError(
                f"model {name}: {error}; name another folder, or hf:ORG/NAME, in --config.models"
            ) from error


def named_folders(entries: tuple[str, ...]) -> dict[str, str]:
    """Returns the folder of each model, a model of the hub at its present commit.

    Raises:
        UserError: an entry is not NAME=FOLDER, or a name is there twice.
    """
    folders: dict[str, str] = {}
    for entry in entries:
        name, equals, folder = entry.partition("=")
        if not equals or not name or not folder:
            raise UserError(f"model '{entry}': write NAME=FOLDER or NAME=hf:ORG/NAME")
        if name in folders:
            raise UserError(f"two models are named '{name}': {folders[name]} and {folder}")
        folders[name] = located.pinned(folder)  # a branch may move between two stages
    return folders
