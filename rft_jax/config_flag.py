"""`--config=configs/x.py:argument` and `--config.field=value`: a Python file makes a dataclass, flags override fields.

The file defines `get_config(argument: str)`, or `get_config()` if it takes none. A mistake in the file or its argument
exits with 1; a mistake in an override exits with 2, like any bad flag.
"""

import dataclasses
import importlib.util
import inspect
import types
import typing
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

from absl import flags

from rft_jax import names
from rft_jax.errors import UserError, did_you_mean

Schema = TypeVar("Schema")

flags.disclaim_key_flags()  # so that --help lists --config under the command that defines it


class ConfigFlag(Generic[Schema]):
    """The flag `--config` of a command, with the overrides of its fields.

    Use: `CONFIG = ConfigFlag(TrainConfig, default="configs/sft.py")`, `command.run(main, CONFIG.take_overrides)`, and
    `CONFIG.read()` in main.
    """

    def __init__(self, *schemas: type[Schema], default: str | None, required: bool | None = None) -> None:
        """Defines the flag.

        Args:
            schemas: of which the config is one.
            default: FILE[:ARGUMENT], or None.
            required: whether the user must give one; by default where there is no default.
        """
        self._schemas = schemas
        self._overrides: dict[str, str] = {}
        fields = dict.fromkeys(field for schema in schemas for field in _field_names(schema))
        self._flag = flags.DEFINE_string(
            "config",
            default,
            f"FILE[:ARGUMENT] that makes a {_named(schemas)}; override a field with --config.field=value. In a list, "
            f"{names.QUOTING}. "
            f"Fields: {', '.join(fields)}.",
            required=default is None if required is None else required,
        )

    @property
    def given(self) -> bool:
        """Whether there is a config.

        Raises:
            flags.Error: there is none, but overrides of its fields.
        """
        if self._flag.value is None and self._overrides:
            raise flags.Error(f"--config.{next(iter(self._overrides))} without --config=FILE[:ARGUMENT]")
        return self._flag.value is not None

    def take_overrides(self, arguments: list[str]) -> list[str]:
        """Takes every --config.field=value out of a command line and returns the rest."""
        rest = []
        waiting = iter(arguments)
        for argument in waiting:
            if not argument.startswith("--config."):
                rest.append(argument)
                continue
            field, equals, value = argument.removeprefix("--config.").partition("=")
            if not equals and (value := next(waiting, "--")).startswith("--"):
                raise flags.Error(f"--config.{field} has no value: write --config.{field}=VALUE")
            self._overrides[field] = value
        return rest

    def arguments(self) -> list[str]:
        """Returns the flags as they were given, for another command that is to read the same config."""
        overrides = [f"--config.{name}={value}" for name, value in self._overrides.items()]
        return [f"--config={self._flag.value}", *overrides]

    def read(self) -> Schema:
        """Returns the config that the flags ask for.

        Raises:
            UserError: a mistake in the file or its argument.
            flags.Error: a mistake in an override.
        """
        config: Schema = load(self._flag.value, *self._schemas)
        for field, value in self._overrides.items():
            config = override(config, field, value)
        return config


def load(reference: str, *schemas: type[Schema]) -> Schema:
    """Returns what `FILE[:ARGUMENT]` makes, which is one of the schemas.

    Raises:
        UserError: the file is missing, has no get_config, does not take the argument, or makes another type.
    """
    name, _, argument = reference.partition(":")
    path = Path(name)
    if not path.is_file():
        beside = sorted(each.stem for each in path.parent.glob("*.py")) if str(path.parent) != "." else []
        told = f"{did_you_mean(path.stem, beside)}; {path.parent} has {', '.join(beside)}" if beside else ""
        raise UserError(f"no config file {path}{told or '; give --config=FILE, for instance configs/sft.py'}")
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"config file {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"config file {path} defines no get_config()")
    takes_argument = bool(inspect.signature(module.get_config).parameters)
    if argument and not takes_argument:
        raise UserError(f"config file {path} takes no argument, got ':{argument}'")
    config = module.get_config(argument) if argument else module.get_config()
    if not isinstance(config, schemas):
        raise UserError(f"config file {path} makes a {type(config).__name__}, this command needs a {_named(schemas)}")
    return config


def _named(schemas: tuple[type, ...]) -> str:
    return " or ".join(schema.__name__ for schema in schemas)


def override(config: Schema, field: str, value: str) -> Schema:
    """Returns the config with one field (dotted for nested ones) read from text.

    Raises:
        flags.Error: no such field (the nearest is named), or text that is not of the field's type.
    """
    return _override(config, field.split("."), value, field)


def _override(config: Any, path: list[str], value: str, whole: str) -> Any:
    name, *inner = path
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        # Nested fields are suggested too: `--config.fsdp` is close to `mesh.fsdp`.
        hint = did_you_mean(".".join(path), _field_names(type(config)))
        raise flags.Error(f"unknown config field '{whole}'{hint}; known: {', '.join(_field_names(type(config)))}")
    current = getattr(config, name)
    if inner and not dataclasses.is_dataclass(current):
        raise flags.Error(f"config field '{whole}': '{name}' has no fields of its own")
    if inner:
        return dataclasses.replace(config, **{name: _override(current, inner, value, whole)})
    if dataclasses.is_dataclass(current):
        raise flags.Error(f"config field '{whole}' is a group: set one of {', '.join(_field_names(type(current)))}")
    try:
        parsed = _parse(value, hints[name])
    except ValueError as error:
        raise flags.Error(f"config field '{whole}': {error}") from error
    return dataclasses.replace(config, **{name: parsed})


def _field_names(schema: Any) -> list[str]:
    names = []
    for name, hint in typing.get_type_hints(schema).items():
        names += [f"{name}.{inner}" for inner in _field_names(hint)] if dataclasses.is_dataclass(hint) else [name]
    return names


def _parse(text: str, hint: Any) -> Any:
    """Reads text as a value of a type; raises ValueError with a message for the user."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if type(None) in arguments and text.lower() in ("none", ""):
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _parse(text, hint)
    if origin is typing.Literal:
        if text not in arguments:
            raise ValueError(f"'{text}' is not one of {', '.join(map(str, arguments))}{did_you_mean(text, arguments)}")
        return text
    if origin is tuple:
        if any(map(dataclasses.is_dataclass, (arguments[0], *typing.get_args(arguments[0])))):
            raise ValueError("cannot be set by a flag; write a config file of your own and give it as --config=FILE")
        return tuple(_parse(part, arguments[0]) for part in names.split_list(text) if part)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"'{text}' is neither true nor false")
        return text.lower() == "true"
    if hint is float:
        # Papers write fractions: 1/32 of the data.
        return _number(text, lambda text: float(Fraction(text)) if "/" in text else float(text), "a number")
    if hint is int:
        return _number(text, int, "a whole number")
    if hint is str:
        return text
    raise TypeError(f"a config field has the type {hint}, which no flag can set")


def _number(text: str, convert: Any, kind: str) -> Any:
    try:
        return convert(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"'{text}' is not {kind}") from None
