"""The rotary settings of a config.json, read and written.

transformers 4 keeps them as `rope_theta` and `rope_scaling`, transformers 5 as `rope_parameters`, which may be nested
by kind of layer. A file that gives them twice must give the same twice: which one counts depends on who reads it.
"""

from typing import Any

from rft_jax.errors import UserError
from rft_jax.hf.fields import number, shown
from rft_jax.model.architecture import LinearScaling, Llama3Scaling

Scaling = LinearScaling | Llama3Scaling | None

_ORIGINAL = "original_max_position_embeddings"
_NEEDED: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", _ORIGINAL),
}
# These may stand beside any type: the first three are read, the last one says only how long the old context was.
_ALWAYS_KNOWN = ("rope_type", "type", "rope_theta", _ORIGINAL)
_DEFAULT_THETA = 10_000.0  # Llama 1's and 2's, whose files do not give it


def read(fields: dict[str, Any]) -> tuple[float, Scaling]:
    """Returns the base of the rotary frequencies and how they are scaled.

    Args:
        fields: of a Llama's config.json.

    Raises:
        UserError: an unknown kind of scaling or field, a field that is missing, or settings that contradict each other.
    """
    _refuse_partial(fields)
    outside = {name: fields[name] for name in ("rope_theta", _ORIGINAL) if name in fields}
    given: dict[str, tuple[float, Scaling]] = {}
    for name in ("rope_scaling", "rope_parameters"):
        settings = fields.get(name)
        if settings is None or settings == {}:
            continue
        if not isinstance(settings, dict):
            raise UserError(f"{name} {shown(settings)} is not a JSON object of rope settings")
        kinds = _by_kind_of_layer(name, settings, fields.get("layer_types"))
        given |= {kind: _parse(kind, inside, outside) for kind, inside in kinds.items()}
    if not given:
        given = {"rope_theta": _parse("rope_theta", {}, outside)}
    (first, read_first), *others = given.items()
    for name, read_there in others:
        if read_there != read_first:
            raise UserError(
                f"{first} and {name} contradict each other: {read_first} and {read_there}; keep one of them"
            )
    return read_first


def write(theta: float, scaling: Scaling) -> dict[str, Any]:
    """Returns the fields of config.json, for transformers 4 and 5 alike."""
    old = _scaling_fields(scaling)
    new = {**(old or {"rope_type": "default"}), "rope_theta": theta}
    return {"rope_theta": theta, "rope_scaling": old, "rope_parameters": new}


def _by_kind_of_layer(name: str, settings: dict[str, Any], layer_types: Any) -> dict[str, dict[str, Any]]:
    """Returns the settings by where they stand: one, or one for each kind of layer that the model has."""
    nested = {kind: inside for kind, inside in settings.items() if isinstance(inside, dict)}
    if not nested:
        return {name: settings}
    if len(nested) < len(settings):
        plain = next(kind for kind in settings if kind not in nested)
        raise UserError(f"{name} gives both {plain} and settings by kind of layer; keep one of them")
    # All the layers of a Llama are of one kind; without layer_types any of those named here may be meant.
    used = {kind: nested[kind] for kind in nested if layer_types is None or kind in layer_types}
    if not used:
        raise UserError(f"{name} has settings for {', '.join(nested)}, and none for the layer_types of the model")
    return {f"{name}.{kind}": inside for kind, inside in used.items()}


def _parse(where: str, inside: dict[str, Any], outside: dict[str, Any]) -> tuple[float, Scaling]:
    _refuse_partial(inside)
    settings = outside | inside
    kind = settings.get("rope_type", settings.get("type", "default"))
    if settings.get("type", kind) != kind:
        raise UserError(f"{where} has the rope_type {shown(kind)} and the type {shown(settings['type'])}; remove one")
    if not isinstance(kind, str) or kind not in _NEEDED:
        raise UserError(f"unknown rope scaling {shown(kind)} in {where}; known: {', '.join(_NEEDED)}")
    for name, value in outside.items():
        if name in inside and inside[name] != value:
            raise UserError(
                f"{name} is {shown(value)} on its own and {shown(inside[name])} in {where}; remove the wrong one"
            )
    known = {*_ALWAYS_KNOWN, *_NEEDED[kind], "partial_rotary_factor"}
    for name, value in settings.items():
        if name not in known and value is not None:
            raise UserError(f"{where} of the type '{kind}' has {name} {shown(value)}, which that type does not know")
    return number(settings, "rope_theta", float, _DEFAULT_THETA), _scaling(kind, settings)


def _scaling(kind: str, settings: dict[str, Any]) -> Scaling:
    if kind == "default":
        return None
    factor = number(settings, "factor", float)
    if kind == "linear":
        return LinearScaling(factor)
    low, high = (number(settings, name, float) for name in ("low_freq_factor", "high_freq_factor"))
    if high <= low:
        raise UserError(f"high_freq_factor {high} is not above low_freq_factor {low}")
    return Llama3Scaling(factor, low, high, number(settings, _ORIGINAL, int))


def _refuse_partial(settings: dict[str, Any]) -> None:
    if settings.get("partial_rotary_factor") not in (None, 1):
        raise UserError("partial_rotary_factor is not 1; a Llama that turns part of each head cannot be loaded")


def _scaling_fields(scaling: Scaling) -> dict[str, Any] | None:
    match scaling:
        case None:
            return None
        case LinearScaling(factor):
            return {"rope_type": "linear", "type": "linear", "factor": factor}  # `type`: transformers before 4.43
        case Llama3Scaling():
            return {
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_frequency_factor,
                "high_freq_factor": scaling.high_frequency_factor,
                _ORIGINAL: scaling.original_positions,
            }
