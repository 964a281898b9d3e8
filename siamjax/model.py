"""A network with its weights: what `siamjax.load_model` returns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from siamjax.config import Config
from siamjax.errors import InputError
from siamjax.models.folding import fold_batch_norm
from siamjax.models.forward import forward_jit
from siamjax.models.siamese import Prediction, SiameseRPN, SiamFC, TemplateFeatures
from siamjax.tracking.batch import BatchTracker, MultiTracker
from siamjax.tracking.exported import Format, export
from siamjax.tracking.frames import Color
from siamjax.tracking.result import Result
from siamjax.tracking.step import with_long_term
from siamjax.tracking.tracker import Tracker, track_frames
from siamjax.weights import WeightsError
from siamjax.weights.release import Dtype, write_release


class Model:
    """A network with its weights: encode a template once, score many search images.

    Images are BGR unless `color="rgb"`, values 0..255, uint8 or floating; outputs are
    float32.

    Attributes:
        network: the Linen module.
        variables: `{"params": ..., "batch_stats": ...}`.
        config: the configuration.
        provenance: what the weights were trained on, of a release; else empty.
    """

    def __init__(
        self,
        network: SiameseRPN | SiamFC,
        variables: dict,
        config: Config,
        provenance: Mapping[str, Any] | None = None,
    ):
        self.network = network
        self.variables = jax.device_put(variables)
        self.config = config
        self.provenance = dict(provenance or {})

    def tracker(self, *, long_term: bool = False) -> Tracker:
        """A tracker of one target: `init(frame, box_xywh)`, then `update(frame) -> Result`.

        With `long_term`, a lost target is searched for in a larger search image, see
        `tracking.step.with_long_term`, which raises.
        """
        return Tracker(*self._tracking(long_term))

    def multi_tracker(self, *, long_term: bool = False) -> MultiTracker:
        """A tracker of several targets in one video; `update` returns a list of results."""
        return MultiTracker(*self._tracking(long_term))

    def batch_tracker(self, slots: int, *, long_term: bool = False) -> BatchTracker:
        """A tracker of one target in each of `slots` videos, in one device call per frame."""
        return BatchTracker(*self._tracking(long_term), slots)

    def track(
        self,
        source: str | Path | Iterable,
        box_xywh,
        *,
        color: Color = "bgr",
        long_term: bool = False,
    ) -> Iterator[Result]:
        """Follows the target in `box_xywh` of the first frame; yields one result per frame.

        `source` is a video, a folder of images, a stream's address, or an iterable of frames,
        whose `color` is given; see `tracking.tracker.track_frames` for frames that cannot be
        used, and `video.open_frames` for what is raised.
        """
        if isinstance(source, (str, Path)):
            from siamjax.video import open_frames

            source, color = open_frames(source), "bgr"
        return track_frames(self.tracker(long_term=long_term), source, box_xywh, color=color)

    def export(
        self,
        folder: str | Path,
        *,
        width: int = 640,
        height: int = 480,
        platforms: Sequence[str] = ("cpu",),
        format: Format = "stablehlo",
        dynamic_batch: bool = False,
    ) -> float | None:
        """Writes the tracker as StableHLO programs, or its networks as ONNX graphs.

        `folder` must not exist. Programs are for frames of up to `width` x `height` and for
        the `platforms` cpu, cuda, rocm, tpu; graphs for any, and for one image, or with
        `dynamic_batch` for any number of them. Where this machine can run it,
        what was written is loaded again, and the largest difference of its boxes, in pixels, is
        returned; else None. Raises `InputError`. See docs/export.md.
        """
        network, variables, _ = self._tracking(False)
        return export(
            Path(folder),
            network,
            variables,
            self.config,
            width=width,
            height=height,
            platforms=tuple(platforms),
            format=format,
            dynamic_batch=dynamic_batch,
        )

    def save(
        self,
        path: str | Path,
        *,
        provenance: Mapping[str, Any] | None = None,
        dtype: Dtype = "float32",
    ) -> None:
        """Writes a release: one .safetensors file with folded weights and the configuration.

        `provenance` says what it was trained on (docs/release.md), by default what the weights
        came with. Raises `WeightsError`.
        """
        _, variables, _ = self._tracking(False)
        said = self.provenance if provenance is None else provenance
        write_release(path, self.config, variables, said, dtype)

    def save_pysot(
        self, path: str | Path, *, alexnet: Literal["features", "layers"] = "features"
    ) -> int:
        """Writes a state dict that PySOT loads, .pth or .npz; returns its number of arrays.

        `alexnet` names AlexNet's keys as PySOT's `alexnetlegacy` (features) or its `alexnet`
        (layers) does. Raises `WeightsError`, also for weights with folded batch norms.
        """
        from siamjax.weights.pysot import to_state_dict
        from siamjax.weights.state_dict import write_state_dict

        if not self.variables["batch_stats"]:
            raise WeightsError(
                f"the batch norms of `{self.config.name}` are folded, and PySOT's state dicts "
                "have them; save the weights that it was released from"
            )
        variables = jax.device_get(self.variables)
        state_dict = to_state_dict(variables, self.config.model, alexnet)
        write_state_dict(Path(path), state_dict)
        return len(state_dict)

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
        return self._call("encode_template", images)

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
        return self._call("predict", template, search)

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
        return self._call("predict_mask", prediction.mask, cell)

    def folded(self) -> "Model":
        """The same model with batch norms folded into the convolutions, for inference only.

        Predictions are equal up to rounding. The weights of a release are folded already.
        """
        if not self.variables["batch_stats"]:
            return self
        # In NumPy, where each shape of a kernel does not cost a compilation.
        variables = jax.device_get(self.variables)
        folded = fold_batch_norm(self.config.model, variables)
        return Model(*folded, self.config, self.provenance)

    def _call(self, method: str, *arguments) -> Any:
        return _apply(self.variables, *arguments, network=self.network, method=method)

    @cached_property
    def _folded(self) -> "Model":
        return self.folded()

    def _tracking(self, long_term: bool) -> tuple[SiameseRPN | SiamFC, dict, Any]:
        """Network, folded weights and settings of a tracker."""
        config = with_long_term(self.config) if long_term else self.config
        return self._folded.network, self._folded.variables, config


class ServedModel(Model):
    """An exported folder, which tracks as it was exported and cannot be written again."""

    def export(self, *_, **__) -> float | None:
        """Raises `InputError`."""
        raise self._refusal()

    def save(self, *_, **__) -> None:
        """Raises `InputError`."""
        raise self._refusal()

    def save_pysot(self, *_, **__) -> int:
        """Raises `InputError`."""
        raise self._refusal()

    def _refusal(self) -> InputError:
        return InputError(
            f"`{self.config.name}` is an exported folder, which cannot be written again; take "
            "the weights that it was exported from"
        )

    def _tracking(self, long_term: bool) -> tuple[Any, dict, Any]:
        if long_term and self.config.tracker.long_term is None:
            raise InputError(
                f"`long_term`: `{self.config.name}` was exported as a short-term tracker; "
                "export it from a configuration with `tracker.long_term`"
            )
        return self.network, self.variables, self.config


@forward_jit("network", "method")
def _apply(variables, *arguments, network, method: str) -> Any:
    return network.apply(variables, *arguments, method=method)


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
