"""What a checkpoint belongs to: whether a run can go on from it."""

import dataclasses
import json
from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf import fingerprint
from rft_jax.model.architecture import PLAIN, LinearScaling, Llama3Scaling, LlamaConfig
from rft_jax.model.lora import Lora


@dataclasses.dataclass(frozen=True)
class LoraOrigin:
    """What adapters in a checkpoint are.

    Attributes:
        adapters: their rank, alpha and targets.
        base: the dtype in which the frozen weights were kept, as "bfloat16".
    """

    adapters: Lora
    base: str

    def __str__(self) -> str:
        """Returns it for people."""
        return f"{self.adapters}, base {self.base}"

    @classmethod
    def of_json(cls, fields: dict[str, Any]) -> "LoraOrigin":
        """Returns what `dataclasses.asdict` was saved as JSON of."""
        adapters = fields["adapters"]
        return cls(Lora(**{**adapters, "targets": tuple(adapters["targets"])}), fields["base"])


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
        lora: what the adapters are, if it holds these and no model; `model` is then what they are of.
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
    lora: LoraOrigin | None = None
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
            if not fingerprint.same(str(getattr(self, key)), str(getattr(other, key))):
                same_name = f" (the same name, but other contents: {getattr(other, key)}, now {getattr(self, key)})"
                raise _refusal(folder, flag, what, theirs, f"{ours}{same_name if named and ours == theirs else ''}")
        if self.lora != other.lora:
            raise _refusal(folder, flag, "lora", other.lora or "rank 0", str(self.lora or "rank 0"))
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
        lora = fields.get("lora")
        return cls(**{**fields, "architecture": config, "lora": lora and LoraOrigin.of_json(lora)})


UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def _refusal(folder: object, flag: str, what: str, theirs: Any, ours: str) -> UserError:
    return UserError(
        f"{folder} holds checkpoints of a run with {what} {theirs}, this one has {what} {ours}; "
        f"give another {flag}, or the same {what}"
    )
