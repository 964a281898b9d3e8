"""Configurations in files and as plain values: reading, writing, comparing."""

import dataclasses
import importlib.util
import json
import re
import types
import typing
from pathlib import Path
from typing import Any

import siamjax.config
from siamjax.config import Config, ConfigError, did_you_mean, require


def load_config(path: str | Path) -> Config:
    """Reads `get_config()` of a configuration file, or a resolved `config.json`.

    Raises `ConfigError` when the file is missing, is no configuration, or breaks a rule.
    """
    path = Path(path)
    if not path.is_file():
        known = [p.stem for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ConfigError(
            f"configuration {str(path)!r} does not exist{did_you_mean(path.stem, known)}"
        )
    if path.suffix == ".json":
        try:
            return config_from_dict(json.loads(path.read_text()))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path} is not valid JSON: {error}") from None
    spec = importlib.util.spec_from_file_location(f"siamjax_config_{path.stem}", path)
    require(spec is not None, f"configuration {str(path)!r} must be a .py or .json file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        get_config = getattr(module, "get_config", None)
        require(
            get_config is not None,
            f"{str(path)!r} has no function `get_config() -> Config`",
        )
        config = get_config()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except SyntaxError as error:
        raise ConfigError(f"{path} is not valid Python: {error}") from None
    except TypeError as error:
        raise ConfigError(f"{path}: {_explain_type_error(error)}") from error
    require(
        isinstance(config, Config),
        f"`get_config()` of {str(path)!r} returned {type(config).__name__}, not Config",
    )
    return config


def _explain_type_error(error: TypeError) -> str:
    """Adds "did you mean" to Python's own complaint about an unknown keyword."""
    match = re.match(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error)
    )
    owner = vars(siamjax.config).get(match[1]) if match else None
    if owner is None:
        return str(error)
    fields = [field.name for field in dataclasses.fields(owner)]
    hint = did_you_mean(match[2], fields) or f"; its fields are {fields}"
    return f"{match[1]} has no field {match[2]!r}{hint}"


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain JSON-ready values."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def config_from_dict(values: dict[str, Any]) -> Config:
    """The inverse of `config_to_dict`; raises `ConfigError` for unknown keys."""
    return _build(Config, values, "config")


def _build(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        require(
            isinstance(value, dict),
            f"`{where}` must hold the fields of {kind.__name__}, not {value!r}",
        )
        hints = typing.get_type_hints(kind)
        for key in value:
            require(
                key in hints,
                f"`{where}` has no field {key!r}{did_you_mean(key, hints)}",
            )
        return kind(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_build(arguments[0], item, where) for item in value)
    if origin in (typing.Union, types.UnionType):
        present = next(a for a in arguments if a is not type(None))
        return None if value is None else _build(present, value, where)
    return value


def differences(config: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Fields in which two configurations differ: dotted name -> (ours, theirs)."""
    ours, theirs = flatten(config_to_dict(config)), flatten(config_to_dict(other))
    return {
        key: (ours.get(key), theirs.get(key))
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    }


def flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested JSON-ready values as one dictionary: dotted name -> value."""
    if isinstance(values, dict):
        items: typing.Iterable = values.items()
    elif isinstance(values, list) and any(isinstance(item, dict) for item in values):
        items = enumerate(values)
    else:
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in items:
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
