"""Which low-rank adapters a model gets (LoRA, arXiv 2106.09685), and what they cost; no JAX. adapters.py has them."""

import dataclasses
import math

from rft_jax.config import LoraConfig
from rft_jax.errors import UserError
from rft_jax.model.architecture import LlamaConfig

# The weights that can have an adapter: axes of their outputs and of their inputs.
PROJECTIONS = {
    "query": ("NH", "D"), "key": ("KH", "D"), "value": ("KH", "D"), "output": ("D", "NH"),
    "gate": ("F", "D"), "up": ("F", "D"), "down": ("D", "F"),
}  # fmt: skip
# Their modules in Hugging Face's models.
ROLES = {
    "q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "output",
    "gate_proj": "gate", "up_proj": "up", "down_proj": "down",
}  # fmt: skip

Sides = tuple[tuple[int, ...], tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Lora:
    """The adapters of a model.

    Attributes:
        rank: U, of each.
        alpha: what an adapter adds is scaled by alpha / rank.
        targets: the modules that have one, keys of ROLES, in its order.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The weights that have one."""
        return tuple(ROLES[target] for target in self.targets)

    def parameters(self, architecture: LlamaConfig) -> int:
        """Returns the number of parameters of all adapters."""
        return architecture.layers * self.rank * sum(
            math.prod(side) for role in self.roles for side in sides(role, architecture)
        )  # fmt: skip

    def __str__(self) -> str:
        """Returns them for people."""
        return f"rank {self.rank}, alpha {self.alpha:g}, targets {','.join(self.targets)}"


def chosen(settings: LoraConfig, architecture: LlamaConfig) -> Lora | None:
    """Returns the adapters that a training run is to train, or None if it is to train all weights.

    Raises:
        UserError: the rank is larger than that of a weight.
    """
    if not settings.rank:
        return None
    targets = tuple(target for target in ROLES if target in settings.targets)
    for target in targets:
        most = min(map(math.prod, sides(ROLES[target], architecture)))
        if settings.rank > most:
            raise UserError(f"lora.rank = {settings.rank}: {target} of this model has rank {most} at most")
    return Lora(settings.rank, settings.alpha, targets)


def sides(role: str, architecture: LlamaConfig) -> Sides:
    """Returns the sizes of a weight's axes: those of its outputs, and those of its inputs."""
    sizes = {
        "D": architecture.width, "N": architecture.heads, "K": architecture.kv_heads, "H": architecture.head_width,
        "F": architecture.mlp_width,
    }  # fmt: skip
    outputs, inputs = (tuple(sizes[axis] for axis in axes) for axes in PROJECTIONS[role])
    return outputs, inputs


def flops_per_token(architecture: LlamaConfig, lora: Lora | None) -> float:
    """Returns the FLOPs of training on a useful token: 6·N, as the paper counts (section 3.1).

    A frozen parameter takes 4: its products forward, and those that carry the gradient back, but not those that would
    make its own.
    """
    if lora is None:
        return 6.0 * architecture.parameters
    return 6.0 * lora.parameters(architecture) + 4.0 * architecture.parameters
