"""The public entry points: load a model or a tracker from a configuration and weights."""

import logging
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax import compile_cache, shipped
from siamjax.config import Config, ConfigError
from siamjax.config_files import load_config
from siamjax.errors import InputError
from siamjax.models.build import abstract_variables, build_network, init_variables
from siamjax.models.folding import fold_batch_norm
from siamjax.models.siamese import Prediction, SiameseRPN, TemplateFeatures
from siamjax.tracking.frames import Color
from siamjax.tracking.tracker import Tracker
from siamjax.weights.release import check_tree, is_release, read_about, read_release

Random = Literal["random"]
RANDOM: Random = "random"
logger = logging.getLogger(__name__)


class Model:
    """A network with its weights: encode a template once, score many search images.

    Images are BGR unless `color="rgb"`, values 0..255, uint8 or floating; outputs are
    float32.

    Attributes:
        network: the Linen module.
        variables: `{"params": ..., "batch_stats": ...}`.
        config: the configuration.
    """

    def __init__(self, network: SiameseRPN, variables: dict, config: Config):
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config

    def encode_template(self, images, *, color: Color = "bgr") -> TemplateFeatures:
        """Features of templates `[b, t, t, 3]`, computed once for many search images.

        t is `model.template_size` of the configuration, 127 for the published models. Raises
        `InputError` for another shape.
        """
        images = _images(images, "images", color)
        side = self.config.model.template_size
        if images.shape[1:3] != (side, side):
            raise InputError(
                f"`images` has shape {images.shape}, but templates of `{self.config.name}` are "
                f"(b, {side}, {side}, 3)"
            )
        return _encode_template(self.variables, images, network=self.network)

    def predict(
        self, template: TemplateFeatures, search, *, color: Color = "bgr"
    ) -> Prediction:
        """Score maps of search images `[b, n, n, 3]`, one for each template.

        `cls_logits` `[b, h, w, a, 2]` (background, foreground) and `loc` `[b, h, w, a, 4]`
        (dx, dy, dw, dh). Raises `InputError` for another shape.
        """
        search = _images(search, "search", color)
        count = jax.tree.leaves(template)[0].shape[0]
        if search.shape[1] != search.shape[2] or search.shape[0] != count:
            raise InputError(
                f"`search` has shape {search.shape}, but {count} square images, one for each "
                f"template, are expected: ({count}, n, n, 3)"
            )
        return _predict(self.variables, template, search, network=self.network)

    def predict_mask(self, prediction: Prediction, cell) -> Array:
        """SiamMask's masks, logits `[b, t, t]`, at `cell` `[b, 2]`: row and column of each map.

        A mask shows the t x t pixels of its search image that begin at 8 * column - 4 *
        base_size and 8 * row - 4 * base_size, which may lie outside. Raises `InputError` for
        a network without masks, and for a cell outside the score map.
        """
        if prediction.mask is None:
            raise InputError(
                f"`{self.config.name}` has no masks; use a configuration with `model.mask`, "
                "such as configs/siammask_r50.py"
            )
        cell, shape = np.asarray(cell), prediction.cls_logits.shape
        if (
            cell.shape != (shape[0], 2)
            or cell.dtype.kind not in "iu"
            or not ((cell >= 0) & (cell < shape[1:3])).all()
        ):
            raise InputError(
                f"`cell` (={cell.tolist()}) must give a row and a column, whole numbers, in "
                f"the {shape[1]} x {shape[2]} cells of each of {shape[0]} score maps"
            )
        cell = jax.device_put(cell.astype(np.int32))
        return _predict_mask(self.variables, prediction.mask, cell, network=self.network)

    def folded(self) -> "Model":
        """The same model with batch norms folded into the convolutions, for inference only.

        Predictions are equal up to rounding. The weights of a release are folded already.
        """
        if not self.variables["batch_stats"]:
            return self
        # In NumPy, where each shape of a kernel does not cost a compilation.
        variables = jax.device_get(self.variables)
        return Model(*fold_batch_norm(self.config.model, variables), self.config)


def load_model(
    config: Config | str | Path | None = None, weights: str | Path | None = None
) -> Model:
    """A network with its weights; without arguments, that of the tracker that ships.

    `config` is a `Config`, a configuration file, or None for the one that the weights come
    with. `weights` is a training's work directory or a checkpoint in it, a release file (see
    `siamjax release`), or a file that `siamjax convert` takes; None takes the weights that
    ship for the network of `config`. Either may be the name of a tracker that ships, such as
    "siamjax_small". The weights "random" give an untrained network. Turns the compilation
    cache on, see `compile_cache`. Raises `InputError` if something is missing or does not fit.
    """
    config, path = resolve(config, weights)
    compile_cache.enable()
    if path == RANDOM:
        return _untrained(config)
    if path.is_file() and is_release(path):
        return _released(config, path)
    network = build_network(config.model)
    return Model(network, _load_variables(network, config, path), config)


def load_tracker(
    config: Config | str | Path | None = None, weights: str | Path | None = None
) -> Tracker:
    """A tracker with `init(frame, box_xywh)` and `update(frame)`; arguments as `load_model`.

    Batch norms are folded into the convolutions, see `Model.folded`.
    """
    model = load_model(config, weights).folded()
    return Tracker(model.network, model.variables, model.config)


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
            raise _missing(Path(weights))
        path = RANDOM
    elif config is None or _ships(config):
        path = shipped.weights_of(None if config is None else str(config))
    if config is None:
        if path == RANDOM:
            raise ConfigError("random weights need a `config`, which says what the network is")
        config = _config_of(path)
    elif _ships(config):
        config = read_about(shipped.weights_of(str(config))).config
    elif not isinstance(config, Config):
        config = load_config(config)
    return config, path or _shipped_for(config)


@partial(jax.jit, static_argnames="network")
def _encode_template(variables, images, *, network):
    return network.apply(variables, images, method=network.encode_template)


@partial(jax.jit, static_argnames="network")
def _predict(variables, template, search, *, network):
    return network.apply(variables, template, search, method=network.predict)


@partial(jax.jit, static_argnames="network")
def _predict_mask(variables, mask, cell, *, network):
    return network.apply(variables, mask, cell, method=network.predict_mask)


def _images(images, name: str, color: Color) -> Array:
    if color not in ("bgr", "rgb"):
        raise InputError(f'`color` (={color!r}) must be "bgr" or "rgb"')
    images = jnp.asarray(images)
    if images.ndim != 4 or images.shape[3] != 3:
        raise InputError(f"`{name}` has shape {images.shape} and must be (b, n, n, 3)")
    if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(
            f"`{name}` is {images.dtype} and must be uint8, or floating: grey levels 0..255 "
            "(16 bits become those with `images / 257`)"
        )
    images = images.astype(jnp.float32)
    return images if color == "bgr" else images[..., ::-1]


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
        "`weights`: a training's work directory, a checkpoint in it, or a weights file"
    )


def _config_of(weights: Path) -> Config:
    """The configuration that a release holds, or that lies beside other weights."""
    if weights.is_file() and is_release(weights):
        return read_about(weights).config
    # A work directory, its folder of checkpoints, one checkpoint in there; or a file.
    folders = (
        [weights.parent] if weights.is_file() else [weights, *weights.resolve().parents[:2]]
    )
    for folder in folders:
        if (folder / "config.json").is_file():
            return load_config(folder / "config.json")
    raise ConfigError(
        f"there is no config.json beside `weights` (={str(weights)!r}); name their "
        "configuration with `config`"
    )


def _untrained(config: Config) -> Model:
    logger.warning("`%s` starts from random weights and has learnt nothing", config.name)
    network = build_network(config.model)
    # It runs once: what the compiler would take to optimise it is never won back.
    is_on_cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if is_on_cpu else {}
    draw = jax.jit(
        lambda key: init_variables(network, key, config.model), compiler_options=options
    )
    return Model(network, draw(jax.random.key(config.train.seed)), config)


def _released(config: Config, path: Path) -> Model:
    """The model of a release: its network has no batch norms.

    What ships is known to be right by its checksum, so that nothing is traced for it.
    """
    variables, about = read_release(path)
    is_known = path.parent == shipped.FOLDER and about.config.model == config.model
    network = build_network(config.model, folded=True, checked=not is_known)
    if not is_known:
        check_tree(variables, abstract_variables(config.model, folded=True), path)
    return Model(network, variables, config)


def _load_variables(network: SiameseRPN, config: Config, weights: Path) -> dict[str, dict]:
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


def _missing(weights: Path) -> InputError:
    return InputError(
        f"`weights` (={str(weights)!r}) does not exist; give a training's work directory, a "
        "checkpoint in it, a weights file, or the name of a tracker that ships (`siamjax "
        "models` lists them)"
    )
