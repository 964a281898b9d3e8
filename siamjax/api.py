"""The public entry points: load a model or a tracker from a configuration and weights."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax

import siamjax
from siamjax import compile_cache, shipped
from siamjax.config import Config, ConfigError
from siamjax.config_files import changed, config_from_dict, load_config
from siamjax.errors import InputError
from siamjax.model import Model, ServedModel
from siamjax.models.build import abstract_variables, build_network, init_variables
from siamjax.models.siamese import SiameseRPN, SiamFC
from siamjax.tracking.batch import BatchTracker
from siamjax.tracking.served import Engine, is_export, open_export, read_manifest
from siamjax.tracking.tracker import Tracker
from siamjax.weights.release import (
    check_tree,
    is_release,
    read_about,
    read_release,
    was_checked,
)

if TYPE_CHECKING:
    from siamjax.evaluation.evaluate import Evaluation
    from siamjax.evaluation.running.runner import Entrant

Random = Literal["random"]
RANDOM: Random = "random"
logger = logging.getLogger(__name__)


def load_model(
    config: Config | str | Path | None = None,
    weights: str | Path | None = None,
    *,
    engine: Engine | None = None,
) -> Model:
    """A network with its weights; without arguments, that of the tracker that ships.

    `config` is a `Config`, a configuration file, or None for the one that the weights come
    with. `weights` is a training's work directory or a checkpoint in it, a release file (see
    `siamjax release`), or a file that `siamjax convert` takes; None takes the weights that
    ship for the network of `config`. Either may be the name of a tracker that ships, such as
    "siamjax_small". The weights "random" give an untrained network. The folder of an export
    is run by `engine`, for ONNX "onnxruntime", the default, or "openvino". Turns the
    compilation cache on, see `compile_cache`. Raises `InputError` if something is missing or
    does not fit.
    """
    config, path = resolve(config, weights)
    compile_cache.enable()
    if path != RANDOM and is_export(path):
        return _served(config, path, engine)
    if engine not in (None, "jax"):
        raise InputError(
            f"`engine` (={engine!r}) runs folders of `siamjax export --format onnx`, and "
            f"`weights` (={str(path)!r}) is none"
        )
    if path == RANDOM:
        return _untrained(config)
    if path.is_file() and is_release(path):
        return _released(config, path)
    network = build_network(config.model)
    return Model(network, _load_variables(network, config, path), config)


def load_tracker(
    config: Config | str | Path | None = None,
    weights: str | Path | None = None,
    *,
    long_term: bool = False,
    engine: Engine | None = None,
) -> Tracker:
    """A tracker with `init(frame, box_xywh)` and `update(frame)`; arguments as `load_model`.

    With `long_term`, a lost target is searched for in a larger search image.
    """
    return load_model(config, weights, engine=engine).tracker(long_term=long_term)


def evaluate(
    model: Model | tuple[Config | str | Path | None, str | Path | None],
    benchmark: str,
    *,
    data: str | Path,
    out: str | Path,
    sequences: Sequence[str] = (),
    controls: bool = False,
    experiment: Literal["one-pass"] | None = None,
    slots: int = 8,
    real_time: bool = False,
    speed: float | None = None,
    repetitions: int = 1,
    compare: Sequence[Path] = (),
    engine: Engine | None = None,
) -> "Evaluation":
    """Runs a tracker over a benchmark, scores it and writes a report to the folder `out`.

    `model` is a `Model`, or the arguments that `load_model` takes. The others are those of
    `siamjax eval`, whose help explains them. Resumes what `out` holds of the same evaluation.
    The result has `overall["success_auc"]`, or what else the benchmark measures, `sequences`
    and `problems`. Raises `InputError`, and what `load_model` raises.
    """
    from siamjax.evaluation import evaluate as evaluation
    from siamjax.evaluation.benchmarks.protocols import get_benchmark

    data, out = Path(data), Path(out)
    if isinstance(model, Model):
        config = model.config
    else:
        config, weights = resolve(*model)
    if get_benchmark(benchmark).name == "synthetic" and not (data / "list.txt").is_file():
        from siamjax.data.synthetic import write_test_split

        write_test_split(data)

    def enter(slots: int) -> list["Entrant"]:
        own = model if isinstance(model, Model) else load_model(config, weights, engine=engine)
        return _entrants(own, slots, controls)

    return evaluation.evaluate(
        enter,
        benchmark,
        data=data,
        out=out,
        title=config.name,
        sequences=sequences,
        experiment=experiment,
        slots=slots,
        real_time=real_time,
        speed=speed,
        repetitions=repetitions,
        others=[Path(folder) for folder in compare],
    )


def train(
    config: Config | str | Path,
    workdir: str | Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    profile: tuple[int, int] | None = None,
) -> Model:
    """Trains a network in `workdir`, resuming what it holds, and returns it.

    `overrides` replace fields of the configuration: `{"optim.lr": 0.02}`. `profile` are the
    first and the last step of a profiler's trace. Raises `ConfigError` before anything is
    trained, and the errors of `training.loop.train`.
    """
    from siamjax.training.loop import train

    config = config if isinstance(config, Config) else load_config(config)
    config = changed(config, dict(overrides or {}))
    train(config, Path(workdir), validate=validation_of(config), profile=profile)
    return load_model(config, workdir)


def validation_of(config: Config) -> Callable[[dict], dict[str, float]] | None:
    """What `training.loop.train` calls to validate; None where the configuration does not.

    Only the main process reads the sequences.
    """
    if not config.validation.data:
        return None
    from siamjax.evaluation.validation import make_validation
    from siamjax.training.processes import is_main

    if not is_main():
        return dict
    network = build_network(config.model)
    return make_validation(
        config, lambda variables, slots: BatchTracker(network, variables, config, slots)
    )


def resolve(
    config: Config | str | Path | None = None, weights: str | Path | None = None
) -> tuple[Config, Path | Random]:
    """What the arguments of `load_model` mean: the configuration, and where the weights are.

    The weights exist, and those that ship are not damaged; they are not read otherwise. Raises
    as `load_model` does.
    """
    path: Path | Random | None = None
    if weights is not None and _ships(weights):
        path = shipped.weights_of(str(weights))
    elif weights is not None and Path(weights).exists():
        path = Path(weights)
    elif weights is not None:
        if str(weights) != RANDOM:
            raise InputError(
                f"`weights` (={str(weights)!r}) does not exist; give a training's work "
                "directory, a checkpoint in it, a weights file, or the name of a tracker that "
                "ships (`siamjax models` lists them)"
            )
        path = RANDOM
    elif config is None or _ships(config):
        path = shipped.weights_of(None if config is None else str(config))
    if config is None:
        if not isinstance(path, Path):
            raise ConfigError("random weights need a `config`, which says what the network is")
        config = _config_of(path)
    elif _ships(config):
        config = read_about(shipped.weights_of(str(config))).config
    elif not isinstance(config, Config):
        config = load_config(config, to_track=True)
    return config, path or _shipped_for(config)


def _entrants(model: Model, slots: int, controls: bool) -> list["Entrant"]:
    """The trackers of an evaluation: the model's, and those that it has to beat."""
    from siamjax.evaluation.results.files import fingerprint
    from siamjax.evaluation.running.runner import Entrant, StaticTracker

    config = model.config
    models = {config.name: model}
    if controls:
        models[f"{config.name}-untrained"] = _untrained(config)
    entrants = []
    for name, each in models.items():
        tracker = each.batch_tracker(slots) if slots else each.tracker()
        mark = fingerprint(config, each.variables, siamjax.__version__)
        entrants.append(Entrant(name, tracker, mark, slots))
    if controls:
        entrants.append(Entrant("never-moves", StaticTracker(), {"control": "never moves"}))
    return entrants


def _ships(name: Config | str | Path) -> bool:
    """Whether this names a tracker that ships, and no file or folder."""
    return (
        not isinstance(name, Config)
        and str(name) in shipped.catalogue()
        and not Path(name).exists()
    )


def _shipped_for(config: Config) -> Path:
    """The weights that ship for a configuration's network."""
    for name in shipped.catalogue():
        path = shipped.weights_of(name)
        if read_about(path).config.model == config.model:
            return path
    names = ", ".join(f"`{name}`" for name in shipped.catalogue()) or "none"
    raise ConfigError(
        f"no weights ship for the network of `{config.name}` (with weights: {names}); give "
        "`weights`: a training's work directory, a checkpoint in it, or a weights file; "
        '"random" gives an untrained network'
    )


def _config_of(weights: Path) -> Config:
    """The configuration that a release holds, or that lies beside other weights."""
    if weights.is_file() and is_release(weights):
        return read_about(weights).config
    if is_export(weights):
        return config_from_dict(read_manifest(weights)["config"])
    # A work directory, its folder of checkpoints, one checkpoint in there; or a file.
    folders = (
        [weights.parent] if weights.is_file() else [weights, *weights.resolve().parents[:2]]
    )
    for folder in folders:
        if (folder / "config.json").is_file():
            return load_config(folder / "config.json", to_track=True)
    raise ConfigError(
        f"there is no config.json beside `weights` (={str(weights)!r}); name their "
        "configuration with `config`"
    )


def _untrained(config: Config) -> Model:
    logger.warning("`%s` starts from random weights and has learnt nothing", config.name)
    config.train.check_all()
    network = build_network(config.model, checked=False)  # `init_variables` checks it
    # It runs once: what the compiler would take to optimise it is never won back.
    is_on_cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if is_on_cpu else {}
    draw = jax.jit(
        lambda key: init_variables(network, key, config.model), compiler_options=options
    )
    return Model(network, draw(jax.random.key(config.train.seed)), config)


def _released(config: Config, path: Path) -> Model:
    """The model of a release: its network has no batch norms.

    What ships is known to be right by its checksum, and other releases were compared with
    their network when they were written, so that nothing is traced for them.
    """
    variables, about = read_release(path)
    ships = path.parent == shipped.FOLDER and about.config.model == config.model
    is_known = ships or was_checked(variables, config, about)
    network = build_network(config.model, folded=True, checked=not is_known)
    if not is_known:
        check_tree(variables, abstract_variables(config.model, folded=True), path)
    return Model(network, variables, config, about.provenance)


def _served(config: Config, folder: Path, engine: Engine | None) -> ServedModel:
    own = _config_of(folder)
    if (config.model, config.tracker) != (own.model, own.tracker):
        raise ConfigError(
            f"{folder} was exported with a configuration of its own, which `config` "
            f"(`{config.name}`) differs from; leave `config` out"
        )
    return ServedModel(*open_export(folder, engine), config)


def _load_variables(network: SiameseRPN | SiamFC, config: Config, weights: Path) -> dict:
    abstract = abstract_variables(config.model)
    if weights.is_dir():
        from siamjax.training.checkpoints import load_variables

        return load_variables(weights, abstract)
    from siamjax.weights import WeightsError
    from siamjax.weights.convert import load

    variables, _ = load(weights, config)
    if jax.tree.structure(variables) != jax.tree.structure(abstract):
        raise WeightsError(
            f"{weights} holds a backbone alone, which can start a training but not track"
        )
    return variables
