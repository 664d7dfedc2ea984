"""What a checkpoint belongs to: whether a run can go on from it."""

import dataclasses
import json
from typing import Any

from rft_jax.errors import UserError
from rft_jax.model.architecture import LinearScaling, Llama3Scaling, LlamaConfig


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
                raise UserError(
                    f"{folder} holds checkpoints of a run with {what} {theirs}, this one has {what} {ours}"
                    f"{same_name if named and ours == theirs else ''}; give another {flag}, or the same {what}"
                )

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
        return cls(**{**fields, "architecture": LlamaConfig(**{**architecture, "rope_scaling": scaling})})


UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
