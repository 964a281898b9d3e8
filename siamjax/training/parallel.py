"""One mesh over all devices: state on each of them, the batch divided among them.

Under `jit` the compiler sees the whole batch, so that the loss, the gradient and the batch
statistics are those of the global batch, whatever the number of devices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from siamjax.config import Config, ConfigError
from siamjax.data.schema import Batch, DrawnBatch, batch_shapes, drawn_shapes
from siamjax.training.state import TrainState
from siamjax.training.step import Step


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices (or those given) in one row, called `data`."""
    devices = jax.devices() if devices is None else devices
    # Explicit axes, JAX's default, refuse the reshapes inside a depthwise correlation.
    return jax.make_mesh(
        (len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices
    )


def may_run_ahead(mesh: Mesh) -> bool:
    """Whether a step may be started before the last one is done.

    Not on simulated devices: they share the host's threads, and a step's collective can
    keep the one thread that the other step's needs.
    """
    return mesh.size == 1 or jax.default_backend() != "cpu"


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def divided(mesh: Mesh) -> NamedSharding:
    """The first axis divided among the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def check_batch_size(batch_size: int, devices: int) -> None:
    """Raises `ConfigError`, naming sizes that would do, unless `devices` divides it."""
    below = batch_size // devices * devices
    if below != batch_size:
        above = below + devices
        sizes = f"{below} or {above}" if below else f"{above}"
        raise ConfigError(
            f"`train.batch_size` (={batch_size}) must be divisible by the {devices} devices "
            f"that share it; use {sizes}"
        )


def create_on(mesh: Mesh, create: Callable[[], TrainState]) -> TrainState:
    """`create()`, computed on every device of the mesh."""
    # It runs once, and XLA's CPU compiler would take ten times longer to optimise it.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    return jax.jit(create, out_shardings=replicated(mesh), compiler_options=options)()


def abstract_state(mesh: Mesh, create: Callable[[], TrainState]) -> TrainState:
    """What `create_on` returns, as shapes that know where they belong."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated(mesh)),
        jax.eval_shape(create),
    )


def on_one_device(tree: Any) -> Any:
    """This process's first copy of arrays that every device has a whole copy of.

    Nothing is moved: it is gone when `tree` is donated.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def put_batch(batch: Batch, mesh: Mesh) -> Batch:
    """Moves what the step reads of a NumPy batch to the devices that will read it.

    The rest becomes None: it is for people, and record numbers do not fit in int32.
    """

    def put(array: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(divided(mesh), array)

    return jax.tree.map(put, _on_devices(batch))


def abstract_batch(config: Config, mesh: Mesh) -> Batch:
    """What `put_batch` returns for a batch of this configuration, as shapes."""
    model = config.model
    shapes = (drawn_shapes if config.data.finish_on == "device" else batch_shapes)(
        config.train.batch_size,
        model.template_size,
        model.search_size,
        model.score_size,
        model.anchors.count,
    )

    def abstract(leaf: tuple | None) -> jax.ShapeDtypeStruct | None:
        return leaf and jax.ShapeDtypeStruct(*leaf, sharding=divided(mesh))

    wanted = _on_devices(shapes)
    return type(wanted)(*map(abstract, wanted))


def jit_step(step: Step, mesh: Mesh) -> jax.stages.Wrapped:
    """`step` compiled for the mesh. The state that goes in is donated: use what comes out."""
    whole = replicated(mesh)
    return jax.jit(
        step,
        in_shardings=(whole, divided(mesh)),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )


def _on_devices(batch: Batch | DrawnBatch) -> Batch | DrawnBatch:
    if isinstance(batch, DrawnBatch):
        return batch._replace(records=None)
    return batch._replace(box_xyxy=None, is_negative_pair=None, records=None)
