"""Configurations in files and as plain values: reading, writing, comparing."""

import dataclasses
import importlib.util
import json
import re
import traceback
import types
import typing
from pathlib import Path
from typing import Any

import siamjax.config
from siamjax.config import (
    Config,
    ConfigError,
    ModelConfig,
    TrackingConfig,
    did_you_mean,
    require,
)
from siamjax.files import printable
from siamjax.text import TextError, read_json


def load_config(path: str | Path, *, to_track: bool = False) -> Config:
    """Reads `get_config()` of a configuration file, or a resolved `config.json`.

    A name, such as "quickstart", is that of a configuration that comes with siamjax. Raises
    `ConfigError` when the file is missing, is no configuration, or breaks a rule; `to_track`
    leaves the rules of a `config.json` that only training needs to `Config.check_training`.
    """
    path = find_file(path, "configuration")
    if path.suffix == ".json":
        try:
            config = config_from_dict(read_json(path))
            if not to_track:
                config.check_all()
            return config
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except TextError as error:
            raise ConfigError(str(error)) from None
    config = run_file(path, "get_config", "a configuration has `get_config() -> Config`")
    require(
        isinstance(config, Config),
        f"`get_config()` of {str(path)!r} returned {type(config).__name__}, not Config",
    )
    return config


def configs_folder() -> Path:
    """Where the configurations that come with siamjax lie: in the package, or a checkout."""
    package = Path(__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def find_file(path: str | Path, kind: str, folder: str = "") -> Path:
    """The file that a path or the name of a configuration or a study stands for.

    A name is that of a file in `folder` of those that come with siamjax, with or without .py
    and configs/. Raises `ConfigError`, which suggests a name, where there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    ours = configs_folder() / folder
    name = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    name = name.with_name(name.name.removesuffix(".py") + ".py") if name.name else name
    for base in (ours, configs_folder()):
        if not name.is_absolute() and (found := base / name).is_file():
            return found
    known = [each.stem for each in ours.glob("*.py")]
    if path.parent != Path("."):
        known += [each.stem for each in path.parent.glob("*.py")]
    raise ConfigError(f"{kind} {str(path)!r} does not exist{did_you_mean(path.stem, known)}")


def run_file(path: Path, function: str, form: str, *arguments: Any) -> Any:
    """What a function in a Python file of the user's returns.

    Raises `ConfigError` for whatever goes wrong in there, with the line of the file that is to
    blame; `form` is what to say where the function is missing.
    """
    spec = importlib.util.spec_from_file_location(f"siamjax_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{str(path)!r} must be a .py or .json file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if hasattr(module, function):
            return getattr(module, function)(*arguments)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{_line_of(path, error)}: {_explained(error)}") from error
    raise ConfigError(f"{str(path)!r} has no function `{function}`; {form}")


def _line_of(path: Path, error: BaseException) -> str:
    """The last line of the file that had to do with an error, `path, line 3`."""
    frames = traceback.extract_tb(error.__traceback__)
    file = path.absolute()  # as Python calls it in a traceback
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == file:
        lines = [error.lineno]
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _explained(error: BaseException) -> str:
    """What Python or we say of an error, with "did you mean" for an unknown keyword."""
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, SyntaxError):
        return f"this is not valid Python: {error.msg}"
    match = re.match(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error)
    )
    owner = vars(siamjax.config).get(match[1]) if match else None
    if match is None or owner is None:
        return printable(f"{type(error).__name__}: {error}")
    fields = [field.name for field in dataclasses.fields(owner)]
    hint = did_you_mean(match[2], fields) or f"; its fields are {fields}"
    if match[2] == "score_size":
        hint = "; it follows from the other sizes, so leave it out"
    return f"{match[1]} has no field {match[2]!r}{hint}"


def config_to_dict(config: Config) -> dict[str, Any]:
    """The configuration as plain JSON-ready values.

    `model.score_size` is among them, as it was when it was a field, so that fingerprints,
    studies and work directories of then compare equal.
    """
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    values["model"]["score_size"] = config.model.score_size
    return values


def config_from_dict(values: dict[str, Any]) -> Config:
    """The inverse of `config_to_dict`; raises `ConfigError` for anything else.

    What only training reads must have the fields of a configuration, and is checked no further:
    `check_all` and `check_training` do that.
    """
    return _build(Config, values, "config")


def _build(kind: Any, value: Any, where: str, checked: bool = True) -> Any:
    if dataclasses.is_dataclass(kind):
        require(
            isinstance(value, dict),
            f"`{where}` must hold the fields of {kind.__name__}, not {value!r:.60}",
        )
        if kind is ModelConfig and "score_size" in value:
            return _built_before(value, where)
        hints = typing.get_type_hints(kind)
        for key in value:
            require(
                key in hints,
                f"`{where}` has no field {key!r}{did_you_mean(key, hints)}",
            )
        missing = [
            field.name
            for field in dataclasses.fields(kind)
            if field.name not in value and field.default is dataclasses.MISSING
        ]
        require(not missing, f"`{where}` lacks {missing}")
        fields = {}
        for key, inner in value.items():
            tracks = kind is not Config or key in TrackingConfig._fields
            fields[key] = _build(hints[key], inner, f"{where}.{key}", checked and tracks)
        return kind(**fields) if checked else kind.unchecked(**fields)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        require(isinstance(value, list), f"`{where}` must be a list, not {value!r:.60}")
        return tuple(_build(arguments[0], item, where, checked) for item in value)
    if origin in (typing.Union, types.UnionType):
        present = next(a for a in arguments if a is not type(None))
        return None if value is None else _build(present, value, where, checked)
    return value


def _built_before(values: dict[str, Any], where: str) -> ModelConfig:
    """A model that states its `score_size`, which was a field once; it must agree."""
    stated = values["score_size"]
    model = _build(ModelConfig, {k: v for k, v in values.items() if k != "score_size"}, where)
    require(
        stated == model.score_size,
        f"`model.score_size` (={stated!r}) must be (search_size - template_size) / stride + 1 "
        f"+ base_size = ({model.search_size} - {model.template_size}) / "
        f"{model.anchors.stride} + 1 + {model.base_size} = {model.score_size}; leave it out",
    )
    return model


def changed(config: Config, values: dict[str, Any]) -> Config:
    """The configuration with fields replaced: `{"data.search.shift": 0.0, "name": "x"}`.

    Raises `ConfigError` for a field that is not there or a value that breaks a rule.
    """
    replaced: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        field, _, rest = key.partition(".")
        known = [each.name for each in dataclasses.fields(config)]
        require(
            field in known,
            f"{type(config).__name__} has no field {field!r}{did_you_mean(field, known)}",
        )
        if rest:
            inner.setdefault(field, {})[rest] = value
        else:
            replaced[field] = value
    for field, deeper in inner.items():
        replaced[field] = changed(getattr(config, field), deeper)
    return dataclasses.replace(config, **replaced)


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
