"""What a checkpoint belongs to: whether a run can go on from it."""

import dataclasses
import json
from typing import Any

from rft_jax.errors import UserError
from rft_jax.model.architecture import PLAIN, LinearScaling, Llama3Scaling, LlamaConfig


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a checkpoint belongs to: what must be the same for a run to go on from it.

    Attributes:
        model, data: for people: the folder or file that the run was started with.
        model_fingerprint, data_fingerprint: of their contents, wherever they lie now.
        fraction, batch, seed: with the data, they define every batch.
        architecture: of the model.
        tokenizer: the folder whose tokenizer goes with the model.
        prompt: how the model is asked, the fields of a hf.sidecars.PromptSidecar; None in checkpoints of before.
        settings: what else defines the result. Of a run in a bucket, where any workdir may name any folder; None on a
            disk, where the workdir tells whose checkpoints these are.
    """

    model: str
    model_fingerprint: str
    data: str
    data_fingerprint: str
    fraction: float
    batch: int
    seed: int
    architecture: LlamaConfig
    tokenizer: str
    prompt: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None

    def refuse_other(self, other: "Origin", folder: object, flag: str) -> None:
        """Raises UserError if a run of this origin cannot go on from checkpoints of another.

        Args:
            other: of the checkpoints.
            folder: that they are in, for people.
            flag: that names another folder.
        """
        for what, named in (("model", True), ("data", True), ("fraction", False), ("batch", False), ("seed", False)):
            ours, theirs = getattr(self, what), getattr(other, what)
            key = f"{what}_fingerprint" if named else what
            if getattr(self, key) != getattr(other, key):
                same_name = f" (the same name, but other contents: {getattr(other, key)}, now {getattr(self, key)})"
                raise _refusal(folder, flag, what, theirs, f"{ours}{same_name if named and ours == theirs else ''}")
        if self.settings is not None and other.settings is not None:
            for what in sorted(self.settings.keys() & other.settings.keys()):
                if (ours := self.settings[what]) != (theirs := other.settings[what]):
                    raise _refusal(folder, flag, what, theirs, str(ours))

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Returns what `dataclasses.asdict` was saved as JSON of.

        Raises:
            UNREADABLE: the text is something else.
        """
        fields = json.loads(text)
        architecture = fields["architecture"]
        scaling = architecture["rope_scaling"]
        if scaling is not None:
            scaling = LinearScaling(**scaling) if set(scaling) == {"factor"} else Llama3Scaling(**scaling)
        config = LlamaConfig(**PLAIN | architecture | {"rope_scaling": scaling})  # until 2026-11-26 all were plain
        return cls(**{**fields, "architecture": config})


UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def _refusal(folder: object, flag: str, what: str, theirs: Any, ours: str) -> UserError:
    return UserError(
        f"{folder} holds checkpoints of a run with {what} {theirs}, this one has {what} {ours}; "
        f"give another {flag}, or the same {what}"
    )
