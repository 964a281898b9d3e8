"""A jaxpr as an ONNX graph: the primitives that the networks are made of.

What depends on no input is computed here. Every other array has an order in which its axes are
stored, so that a transposition costs nothing until an operation needs another order:
convolutions store channels first, as ONNX does, and the layers between them follow.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from siamjax.errors import InputError

OPSET = 17
# Images of a batch of any size, while the network is traced: a prime larger than any side, of
# which no other side is a multiple.
ANY_BATCH = 7919
_TYPES: dict[str, int] = {
    "float32": TensorProto.FLOAT,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}
_ELEMENTWISE = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "exp": "Exp",
    "logistic": "Sigmoid",
    "lt": "Less",
}
_INLINED = ("jit", "pjit", "custom_jvp_call", "custom_vjp_call", "checkpoint")


@dataclasses.dataclass(frozen=True)
class _Value:
    """An array of the graph.

    Attributes:
        name: in the graph.
        shape: as the jaxpr has it.
        order: its axes as they are stored.
        dtype: its name.
    """

    name: str
    shape: tuple[int, ...]
    order: tuple[int, ...]
    dtype: str

    @property
    def stored(self) -> list[int]:
        return [self.shape[axis] for axis in self.order]


def channels_first(axes: int) -> tuple[int, ...]:
    """The order in which inputs and outputs are stored: batch, then axes from the last."""
    return (0, *range(axes - 1, 2, -1), 1, 2) if axes > 3 else tuple(range(axes))


def to_onnx(
    function: Callable,
    arguments: Sequence[Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """The graph of a function of arrays, whose arguments are trees of `ShapeDtypeStruct`.

    `inputs` and `outputs` name the leaves of arguments and results; both are stored as
    `channels_first` says. Axes of `ANY_BATCH` are of any length in the graph. Raises
    `InputError` for a primitive that is not known here.
    """
    return _Graph().convert(jax.make_jaxpr(function)(*arguments), inputs, outputs)


class _Graph:
    def __init__(self):
        self.nodes: list = []
        self.constants: list = []
        self.made: dict[str, tuple[str, list[str], Any]] = {}  # by output: operator, inputs

    def convert(self, closed, inputs, outputs) -> onnx.ModelProto:
        values, given, wanted = [], [], []
        for name, aval in zip(inputs, closed.in_avals, strict=True):
            order = channels_first(len(aval.shape))
            value = _Value(name, tuple(aval.shape), order, aval.dtype.name)
            values.append(value)
            sides = _named(value.stored)
            given.append(helper.make_tensor_value_info(name, _type(value.dtype), sides))
        results = self.run(closed.jaxpr, closed.consts, values)
        for name, value in zip(outputs, results, strict=True):
            order = channels_first(len(value.shape))
            self.nodes.append(helper.make_node("Identity", [self.store(value, order)], [name]))
            sides = _named(value.shape[axis] for axis in order)
            info = helper.make_tensor_value_info(name, _type(value.dtype), sides)
            wanted.append(info)
        graph = helper.make_graph(self.nodes, "siamjax", given, wanted, self.constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="siamjax")
        model.ir_version = 8  # of that opset; older runtimes refuse what `onnx` writes now
        onnx.checker.check_model(model, full_check=True)
        return model

    def run(self, jaxpr, consts, arguments) -> list:
        """The outputs of a jaxpr for NumPy arrays and `_Value`s."""
        known = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
        known.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom):
            return np.asarray(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            found = self.apply(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, found, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def apply(self, equation, values) -> list:
        name, params = equation.primitive.name, equation.params
        if name == "platform_index":
            return [np.int32(0)]
        if name == "cond" and params.get("branches_platforms"):
            branch = params["branches"][params["branches_platforms"].index(None)]
            return self.run(branch.jaxpr, branch.consts, values[1:])
        if name in _INLINED:
            inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
            jaxpr = getattr(inner, "jaxpr", inner)
            return self.run(jaxpr, getattr(inner, "consts", ()), values)
        if not any(isinstance(value, _Value) for value in values):
            return _computed(equation, values)
        aval = equation.outvars[0].aval
        if name in _ELEMENTWISE:
            return [self.elementwise(_ELEMENTWISE[name], aval, values)]
        method = getattr(self, f"_{name}", None)
        if method is None:
            raise InputError(f"`{name}` has no ONNX form here, and the network uses it")
        found = method(aval, *values, **params)
        return found if isinstance(found, list) else [found]

    # What nodes are made of

    def constant(self, array) -> str:
        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: list[str], note: Any = None, **attributes) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.made[name] = operator, inputs, note
        return name

    def reshaped(self, name: str, before: list[int], after: list[int]) -> str:
        """A `Reshape`, of whose chains only the last remains."""
        operator, inputs, first = self.made.get(name, ("", [], None))
        if operator == "Reshape":
            name, before = inputs[0], first
        if before == after:
            return name
        sides = [-1 if side % ANY_BATCH == 0 else side for side in after]
        shape = self.constant(np.array(sides, np.int64))
        return self.node("Reshape", [name, shape], note=before)

    def store(self, value, order: tuple[int, ...]) -> str:
        """The name of an array that is stored in this order."""
        if not isinstance(value, _Value):
            return self.constant(np.transpose(value, order))
        stored = [value.shape[axis] for axis in order]

        def long(axes):
            return [axis for axis in axes if value.shape[axis] != 1]

        if long(order) == long(value.order):
            return self.reshaped(value.name, value.stored, stored)
        places = [value.order.index(axis) for axis in order]
        return self.node("Transpose", [value.name], perm=places)

    def elementwise(self, operator: str, aval, values) -> _Value:
        arrays = [value for value in values if isinstance(value, _Value)]
        order = arrays[0].order
        if operator == "Max" and len(arrays) == 1 and not any(map(np.any, _numbers(values))):
            name = self.node("Relu", [arrays[0].name])
        elif (
            operator == "Min"
            and len(arrays) == 1
            and not np.ptp(limits := _numbers(values)[0])
            and self.made.get(arrays[0].name, ("",))[0] == "Relu"
        ):
            # ReLU6, as runtimes know it.
            limit = np.max(limits)
            (below,) = self.made[arrays[0].name][1]
            zero = self.constant(np.zeros((), arrays[0].dtype))
            name = self.node("Clip", [below, zero, self.constant(limit)])
        else:
            name = self.node(operator, [self.operand(value, order) for value in values])
        return _Value(name, tuple(aval.shape), order, aval.dtype.name)

    def operand(self, value, order: tuple[int, ...]) -> str:
        """The name of an array that is broadcast against others stored in this order."""
        if not value.shape or isinstance(value, _Value):
            return self.store(value, order if value.shape else ())
        # Axes along which it was broadcast need not be stored.
        repeated = tuple(slice(1) if step == 0 else slice(None) for step in value.strides)
        return self.store(value[repeated], order)

    # Primitives: each takes the result's type, the arguments, and the primitive's parameters

    def _select_n(self, aval, which, *cases) -> _Value:
        order = next(value.order for value in (which, *cases) if isinstance(value, _Value))
        names = [self.operand(value, order) for value in (which, *reversed(cases))]
        return _Value(self.node("Where", names), tuple(aval.shape), order, aval.dtype.name)

    def _convert_element_type(self, aval, x, **_) -> _Value:
        dtype = aval.dtype.name
        if dtype == x.dtype:
            return x
        name = self.node("Cast", [x.name], to=_type(dtype))
        return dataclasses.replace(x, name=name, dtype=dtype)

    def _stop_gradient(self, aval, x, **_) -> _Value:
        return x

    def _conv_general_dilated(
        self,
        aval,
        x,
        kernel,
        *,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        dimension_numbers,
        feature_group_count,
        batch_group_count,
        **_,
    ) -> _Value:
        if max(lhs_dilation) > 1 or batch_group_count > 1:
            raise InputError("a transposed convolution has no ONNX form here")
        x_order, kernel_order, order = dimension_numbers
        name = self.node(
            "Conv",
            [self.store(x, x_order), self.store(kernel, kernel_order)],
            strides=window_strides,
            pads=_pads(padding),
            dilations=rhs_dilation,
            group=feature_group_count,
            kernel_shape=[kernel.shape[axis] for axis in kernel_order[2:]],
        )
        return _Value(name, tuple(aval.shape), tuple(order), aval.dtype.name)

    def _reduce_window_max(
        self, aval, x, *, window_dimensions, window_strides, padding, **dilation
    ) -> _Value:
        if any(max(steps) > 1 for steps in dilation.values()):
            raise InputError("a dilated pooling has no ONNX form here")
        spatial = [axis for axis, side in enumerate(window_dimensions) if side > 1]
        order = (*(axis for axis in range(len(x.shape)) if axis not in spatial), *spatial)
        name = self.node(
            "MaxPool",
            [self.store(x, order)],
            kernel_shape=[window_dimensions[axis] for axis in spatial],
            strides=[window_strides[axis] for axis in spatial],
            pads=_pads([padding[axis] for axis in spatial]),
        )
        return _Value(name, tuple(aval.shape), order, aval.dtype.name)

    def _transpose(self, aval, x, *, permutation) -> _Value:
        order = tuple(permutation.index(axis) for axis in x.order)
        return dataclasses.replace(x, shape=tuple(aval.shape), order=order)

    def _reshape(self, aval, x, **_) -> _Value:
        shape = tuple(aval.shape)
        groups = _groups(x.shape, shape)
        stored = [axis for axis in x.order if x.shape[axis] != 1]
        order: list[int] = [axis for axis, side in enumerate(shape) if side == 1]
        while stored:
            old, new = next(group for group in groups if stored[0] in group[0])
            if stored[: len(old)] != old:  # what is joined does not lie side by side
                plain = tuple(range(len(x.shape)))
                x = dataclasses.replace(x, name=self.store(x, plain), order=plain)
                order = list(range(len(shape)))
                break
            stored = stored[len(old) :]
            order += new
        name = self.reshaped(x.name, x.stored, [shape[axis] for axis in order])
        return _Value(name, shape, tuple(order), x.dtype)

    def _squeeze(self, aval, x, **_) -> _Value:
        return self._reshape(aval, x)

    def _broadcast_in_dim(self, aval, x, *, shape, broadcast_dimensions, **_) -> _Value:
        ones = [1] * len(shape)
        for side, axis in zip(x.shape, broadcast_dimensions, strict=True):
            ones[axis] = side
        x = self._reshape(jax.ShapeDtypeStruct(tuple(ones), np.float32), x)
        if x.shape == tuple(shape):
            return x
        # One stands for the side that it has.
        sides = [1 if shape[axis] == x.shape[axis] else shape[axis] for axis in x.order]
        if ANY_BATCH in sides:
            raise InputError("copies for each image of a batch have no ONNX form here")
        target = self.constant(np.array(sides, np.int64))
        name = self.node("Expand", [x.name, target])
        return dataclasses.replace(x, name=name, shape=tuple(shape))

    def _slice(self, aval, x, *, start_indices, limit_indices, strides) -> _Value:
        axes = [axis for axis, side in enumerate(x.shape) if aval.shape[axis] != side]
        if not axes:
            return x
        places = [x.order.index(axis) for axis in range(len(x.order))]
        bounds = (start_indices, limit_indices, places, strides or [1] * len(places))
        names = [self.constant(np.array([each[axis] for axis in axes])) for each in bounds]
        return dataclasses.replace(
            x, name=self.node("Slice", [x.name, *names]), shape=tuple(aval.shape)
        )

    def _split(self, aval, x, *, sizes, axis) -> list[_Value]:
        ends, parts = np.cumsum(sizes), []
        for size, end in zip(sizes, ends.tolist(), strict=True):
            first, last = [0] * len(x.shape), list(x.shape)
            first[axis], last[axis] = end - size, end
            shape = [size if each == axis else side for each, side in enumerate(x.shape)]
            part = jax.ShapeDtypeStruct(tuple(shape), np.float32)
            parts.append(
                self._slice(part, x, start_indices=first, limit_indices=last, strides=None)
            )
        return parts

    def _concatenate(self, aval, *values, dimension) -> _Value:
        order = next(value.order for value in values if isinstance(value, _Value))
        names = [self.store(value, order) for value in values]
        name = self.node("Concat", names, axis=order.index(dimension))
        return _Value(name, tuple(aval.shape), order, aval.dtype.name)

    def _pad(self, aval, x, value, *, padding_config) -> _Value:
        if any(low < 0 or high < 0 or inner for low, high, inner in padding_config):
            raise InputError("padding between elements has no ONNX form here")
        pads = _pads([padding_config[axis][:2] for axis in x.order])
        names = [self.constant(np.array(pads, np.int64)), self.store(value, ())]
        return dataclasses.replace(
            x, name=self.node("Pad", [x.name, *names]), shape=tuple(aval.shape)
        )

    def _dot_general(self, aval, x, y, *, dimension_numbers, **_) -> _Value:
        (x_inner, y_inner), (x_batch, y_batch) = dimension_numbers

        def free(value, *taken):
            return [axis for axis in range(len(value.shape)) if axis not in taken]

        x_free, y_free = free(x, *x_inner, *x_batch), free(y, *y_inner, *y_batch)
        x_order, y_order = (*x_batch, *x_free, *x_inner), (*y_batch, *y_inner, *y_free)

        def matrices(value, order, rows, batch):
            stored = [value.shape[axis] for axis in order]
            outer = [value.shape[axis] for axis in batch]
            count = math.prod(value.shape[axis] for axis in rows)
            name = self.store(value, tuple(order))
            columns = math.prod(stored) // (math.prod(outer) * count)
            return self.reshaped(name, stored, [*outer, count, columns])

        left = matrices(x, x_order, x_free, x_batch)
        right = matrices(y, y_order, y_inner, y_batch)
        outer = [x.shape[axis] for axis in x_batch]
        rows = math.prod(x.shape[axis] for axis in x_free)
        columns = math.prod(y.shape[axis] for axis in y_free)
        name = self.node("MatMul", [left, right])
        name = self.reshaped(name, [*outer, rows, columns], list(aval.shape))
        return _Value(name, tuple(aval.shape), tuple(range(len(aval.shape))), aval.dtype.name)

    def _gather(self, aval, x, start, *, dimension_numbers, slice_sizes, **_) -> _Value:
        """Either whole slices along one axis, or one window that begins anywhere."""
        axes = dimension_numbers.start_index_map
        if math.prod(start.shape[:-1]) == 1:
            return self._window(aval, x, start, axes, slice_sizes)
        rest = [axis for axis in range(len(x.shape)) if axis not in axes]
        whole = all(slice_sizes[axis] == x.shape[axis] for axis in rest)
        if len(axes) > 1 or not whole or isinstance(start, _Value) or start.ndim != 2:
            raise InputError("this `gather` has no ONNX form here")
        (axis,) = axes
        kept = dict(zip(rest, dimension_numbers.offset_dims, strict=True))
        (kept[axis],) = set(range(len(aval.shape))) - set(kept.values())
        index = self.constant(start[:, 0].astype(np.int64))
        name = self.node("Gather", [x.name, index], axis=x.order.index(axis))
        order = tuple(int(kept[each]) for each in x.order)
        return _Value(name, tuple(aval.shape), order, x.dtype)

    def _window(self, aval, x, start, axes, sizes) -> _Value:
        room = np.array([x.shape[axis] - sizes[axis] for axis in axes], np.int32)
        flat = self.reshaped(
            self.store(start, tuple(range(len(start.shape)))), list(start.shape), [len(axes)]
        )
        first = self.node("Max", [flat, self.constant(np.zeros_like(room))])
        first = self.node("Min", [first, self.constant(room)])
        lengths = np.array([sizes[axis] for axis in axes], np.int32)
        end = self.node("Add", [first, self.constant(lengths)])
        places = np.array([x.order.index(axis) for axis in axes], np.int32)
        name = self.node("Slice", [x.name, first, end, self.constant(places)])
        return self._reshape(aval, dataclasses.replace(x, name=name, shape=tuple(sizes)))


def _computed(equation, values) -> list:
    """The results of a primitive whose arguments are known."""
    params = equation.params
    if equation.primitive.name == "broadcast_in_dim":
        ones = np.ones(len(params["shape"]), int)
        ones[list(params["broadcast_dimensions"])] = np.shape(values[0])
        return [np.broadcast_to(np.reshape(values[0], ones), params["shape"])]
    found = equation.primitive.bind(*values, **params)
    found = found if equation.primitive.multiple_results else [found]
    return [np.asarray(array) for array in found]


def _named(sides) -> list[int | str]:
    return ["batch" if side == ANY_BATCH else side for side in sides]


def _numbers(values) -> list:
    return [value for value in values if not isinstance(value, _Value)]


def _type(dtype: str) -> int:
    if dtype not in _TYPES:
        raise InputError(f"arrays of {dtype} have no ONNX form here; use float32")
    return _TYPES[dtype]


def _pads(padding) -> list[int]:
    """Pairs of each axis as ONNX lists them: all that come first, then all that come last."""
    return [int(side) for sides in zip(*padding, strict=True) for side in sides]


def _groups(old, new) -> list[tuple[list[int], list[int]]]:
    """Which axes become which in a reshape; axes of length one are in none."""
    before = [axis for axis, side in enumerate(old) if side != 1]
    after = [axis for axis, side in enumerate(new) if side != 1]
    groups = []
    while before:
        mine, theirs = [before.pop(0)], [after.pop(0)]
        while (sizes := [math.prod(old[a] for a in mine), math.prod(new[a] for a in theirs)])[
            0
        ] != sizes[1]:
            if sizes[0] < sizes[1]:
                mine.append(before.pop(0))
            else:
                theirs.append(after.pop(0))
        groups.append((mine, theirs))
    return groups
