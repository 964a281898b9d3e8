"""siamjax: the SiamRPN++ family of visual object trackers in JAX.

    import siamjax
    model = siamjax.load_model()
    tracker = model.tracker()
    tracker.init(frame, box_xywh)
    result = tracker.update(frame)
    result.box_xywh, result.score, result.is_lost

The public names are imported on first use, so that `import siamjax` costs nothing.
"""

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "Config": "siamjax.config",
    "Model": "siamjax.model",
    "Result": "siamjax.tracking.result",
    "SiamjaxError": "siamjax.errors",
    "evaluate": "siamjax.api",
    "train": "siamjax.api",
    "ConfigError": "siamjax.config",
    "load_config": "siamjax.config_files",
    "load_model": "siamjax.api",
    "load_tracker": "siamjax.api",
}
__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'siamjax' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__():
    return __all__
