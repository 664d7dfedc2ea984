"""The typed schemas of the runs. A file in configs/ builds one of these; `config_flag` overrides its fields."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How many devices stand along each axis of the mesh; -1, on one axis at most, takes all that are left.

    Attributes:
        data: replicas of the whole model.
        fsdp: devices that split the batch and the parameters.
        tensor: devices that split heads, MLP width and vocabulary.
    """

    data: int = 1
    fsdp: int = -1
    tensor: int = 1
