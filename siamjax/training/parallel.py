"""One mesh over all devices: the state replicated, the batch sharded.

Under `jit` the compiler sees the whole batch, so that the loss, the gradient and the batch
statistics are those of the global batch, whatever the number of devices. Under `pmap` every
device runs the step on its own part and the sums are all-reduced; arrays of a batch are then
`[devices, pairs, ...]`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from siamjax.config import Config, ConfigError, TrainConfig
from siamjax.data.schema import AnyBatch, DrawnBatch, batch_shapes, drawn_shapes
from siamjax.training.state import TrainState
from siamjax.training.step import Metrics, Step

_AXIS = "data"


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of one axis over all devices, or those given."""
    devices = jax.devices() if devices is None else devices
    # Explicit axes, JAX's default, refuse the reshapes inside a depthwise correlation.
    return jax.make_mesh(
        (len(devices),), (_AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def may_run_ahead(mesh: Mesh) -> bool:
    """Whether a step may be started before the last one is done.

    Not on simulated CPU devices: they share the host's threads, and the collectives of two
    steps can deadlock.
    """
    return mesh.size == 1 or jax.default_backend() != "cpu"


def replicated(mesh: Mesh) -> NamedSharding:
    """Replicated on every device."""
    return NamedSharding(mesh, PartitionSpec())


def divided(mesh: Mesh) -> NamedSharding:
    """The first axis sharded over the devices."""
    return NamedSharding(mesh, PartitionSpec(_AXIS))


def check_batch_size(train: TrainConfig, devices: int, hosts: int = 1) -> None:
    """Raises `ConfigError`, naming valid sizes, unless the batch can be sharded evenly.

    `devices` are those of all `hosts` together; each computes `train.micro_batches` parts.
    """
    size, parts = train.batch_size, train.micro_batches
    unit = devices * parts
    below = size // unit * unit
    if below != size:
        above = below + unit
        sizes = f"{below} or {above}" if below else f"{above}"
        sharing = f"the {devices} devices that share it"
        if hosts > 1:
            sharing += f" on {hosts} hosts"
        if parts > 1:
            sharing += f" times `train.micro_batches` (={parts})"
        raise ConfigError(
            f"`train.batch_size` (={size}) must be divisible by {sharing}; use {sizes}"
        )


def create_on(mesh: Mesh, create: Callable[[], TrainState]) -> TrainState:
    """`create()`, computed on every device of the mesh."""
    # It runs once; XLA's CPU compiler would take ten times longer to optimise it.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    return jax.jit(create, out_shardings=replicated(mesh), compiler_options=options)()


def abstract_state(mesh: Mesh, create: Callable[[], TrainState]) -> TrainState:
    """The shapes of what `create_on` returns, with their shardings."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated(mesh)),
        jax.eval_shape(create),
    )


def on_one_device(tree: Any) -> Any:
    """This process's first copy of replicated arrays.

    The buffers are shared: they are gone when `tree` is donated.
    """
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def put_batch(batch: AnyBatch, mesh: Mesh, *, stacked: bool = False) -> AnyBatch:
    """Moves the fields of a NumPy batch that the step reads to the devices.

    Each of several processes passes its own rows. `stacked` is for `pmap`. Other fields become
    None: they serve only messages and images, and record numbers do not fit in int32.
    """
    devices = mesh.local_devices

    def put(array: np.ndarray) -> jax.Array:
        if stacked:
            array = array.reshape(len(devices), -1, *array.shape[1:])
        parts = jax.device_put(np.split(array, len(devices)), devices)
        shape = (array.shape[0] * mesh.size // len(devices), *array.shape[1:])
        return jax.make_array_from_single_device_arrays(shape, divided(mesh), parts)

    return jax.tree.map(put, _on_devices(batch))


def abstract_batch(config: Config, mesh: Mesh) -> AnyBatch:
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
        if leaf is None:
            return None
        shape, dtype = leaf
        if config.train.parallel == "pmap":
            shape = (mesh.size, shape[0] // mesh.size, *shape[1:])
        return jax.ShapeDtypeStruct(shape, dtype, sharding=divided(mesh))

    wanted = _on_devices(shapes)
    return type(wanted)(*map(abstract, wanted))


def jit_step(step: Step, mesh: Mesh) -> jax.stages.Wrapped:
    """`step` under `jit` over the mesh, with the state replicated and donated."""
    whole = replicated(mesh)
    return jax.jit(
        step,
        in_shardings=(whole, divided(mesh)),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )


def parallel_step(step: Step, mesh: Mesh, train: TrainConfig) -> jax.stages.Wrapped:
    """`step` for the mesh, to be lowered and compiled.

    The state is donated.
    """
    if train.parallel == "pmap":
        return jax.pmap(
            functools.partial(step, axis_name=_AXIS),
            axis_name=_AXIS,
            in_axes=(None, 0),
            out_axes=(None, None),
            # over several processes, pmap takes the devices in their own order only
            devices=None if jax.process_count() > 1 else list(mesh.devices.flat),
            donate_argnums=0,
        )
    if train.batch_stats == "device":
        # The step sums over devices itself, as under pmap; with JAX's own tracking of varying
        # axes (check_vma), gradients would be summed twice.
        step = jax.shard_map(
            functools.partial(step, axis_name=_AXIS),
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(_AXIS)),
            out_specs=PartitionSpec(),
            check_vma=False,
        )
    return jit_step(step, mesh)


def compile_step(step: Step, mesh: Mesh, config: Config, state: TrainState) -> Step:
    """`parallel_step` compiled for a batch of `config` and a state of these shapes.

    Returns a `jax.stages.Compiled`; but `pmap` over several processes compiles at its first
    call.
    """
    wrapped = parallel_step(step, mesh, config.train)
    if config.train.parallel == "pmap" and jax.process_count() > 1:
        return _over_processes(wrapped, mesh)
    return wrapped.lower(state, abstract_batch(config, mesh)).compile()


def _over_processes(step: jax.stages.Wrapped, mesh: Mesh) -> Step:
    """A `pmap` over several processes for global arrays; `pmap` itself takes local ones.

    Nothing is copied: the same buffers are wrapped again.
    """
    own = jax.make_mesh(
        (len(mesh.local_devices),),
        (_AXIS,),
        axis_types=(AxisType.Auto,),
        devices=mesh.local_devices,
    )

    def rewrapped(tree: Any, shape_of: Callable, sharding: NamedSharding) -> Any:
        return jax.tree.map(
            lambda leaf: jax.make_array_from_single_device_arrays(
                shape_of(leaf), sharding, [shard.data for shard in leaf.addressable_shards]
            ),
            tree,
        )

    def call(state: TrainState, batch: AnyBatch) -> tuple[TrainState, Metrics]:
        state = rewrapped(state, lambda leaf: leaf.shape, replicated(own))
        batch = rewrapped(batch, lambda leaf: (own.size, *leaf.shape[1:]), divided(own))
        return rewrapped(step(state, batch), lambda leaf: leaf.shape, replicated(mesh))

    return call


def _on_devices(batch: AnyBatch) -> AnyBatch:
    if isinstance(batch, DrawnBatch):
        return batch._replace(records=None)
    return batch._replace(box_xyxy=None, is_negative_pair=None, records=None)
