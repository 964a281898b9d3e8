"""The import rules: who may know whom, and where each third-party package is spelled."""

import ast
import functools
import subprocess
import sys

import pytest

import siamjax
from tests.conftest import ROOT

PACKAGE = ROOT / "siamjax"

# The ground, which every room may import: each stands on the ones before it.
GROUND = [
    "errors",
    "text",
    "files",
    "locks",
    "signatures",
    "folders",
    "images",
    "interrupts",
    "compile_cache",
    "allocator",
]
# What each room may import of ours, besides itself and the ground. Every room is here.
_BELOW = {"config", "config_files", "geometry", "models", "weights", "shipped", "video"}
ALLOWED = {
    "__init__": set(),
    "config": set(),
    "config_files": {"config"},
    "geometry": set(),
    "video": set(),
    "display": set(),
    "models": {"geometry", "config"},
    "shipped": set(),
    "weights": {"models", "geometry", "config", "config_files"},
    "data": {"geometry", "config", "video"},
    "training": {
        "data.schema",
        "data.pipeline",
        "data.targets",
        "models",
        "shipped",
        "weights.convert",  # what a run starts from; that room knows nothing of training
        "weights.release",
        "geometry",
        "config",
        "config_files",
    },
    "tracking": {"models", "geometry", "config"},
    # trackers through the protocol (init, update) only
    "evaluation": {"geometry", "config", "config_files", "video"},
    "model": {*_BELOW, "tracking"},
    "api": {*_BELOW, "model", "tracking", "training", "data", "evaluation"},
    "studies": {*_BELOW, "model", "api", "training", "data", "evaluation"},
    # nothing but the command line and the two scripts imports commands
    "commands": {
        *(_BELOW | {"model", "api", "display", "studies"}),
        *("tracking", "training", "data", "evaluation"),
    },
    "cli": {"commands"},
}

# Third-party packages and the only places that may import them.
FENCES = {
    "grain": ["data/pipeline.py"],
    "orbax": ["training/checkpoints.py"],
    "tensorflow_datasets": ["data/"],
    "optax": ["training/"],
    "flax": ["models/", "training/state.py"],
    "cv2": [
        "data/",
        "display.py",
        "evaluation/benchmarks/sequences.py",
        "evaluation/report/strips.py",
        "images.py",
        "tracking/masks.py",
        "video/sources.py",
    ],
    "av": ["video/"],
    "matplotlib": [
        "display.py",
        "evaluation/report/plots.py",
        "studies/plots.py",
        "training/dry_run.py",
    ],
    "onnx": ["tracking/exported_onnx.py", "tracking/onnx_graph.py"],
    "onnxruntime": ["tracking/served.py"],
    "openvino": ["tracking/served.py"],
    "safetensors": ["weights/safetensors_file.py"],
    "tensorboardX": ["training/writers.py"],
    "tyro": ["cli.py", "commands/"],
    "torch": [],
    "tensorflow": [],
}
# NumPy is all that metrics and the data room compute with.
WITHOUT_JAX = ["config/", "config_files.py", "geometry/", "data/", "evaluation/", "video/"]
NUMPY_ALONE = ["evaluation/metrics/"]


@functools.cache
def imports_of(path):
    """Every module that a file imports when it runs, anywhere in it, as dotted names.

    A public name that is reached as `siamjax.load_model` counts as its module's.
    """
    tree = ast.parse(path.read_text())
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; spell the package"
            found.append(node.module)
            found += (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "siamjax" and node.attr in siamjax._PUBLIC:
                found.append(siamjax._PUBLIC[node.attr])
    return found


def files():
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def is_inside(path, places):
    name = path.relative_to(PACKAGE).as_posix()
    return any(
        name == place or (place.endswith("/") and name.startswith(place)) for place in places
    )


def test_every_room_has_a_rule():
    assert {room_of(path) for path in files()} <= ALLOWED.keys() | set(GROUND)


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_rooms_import_only_what_they_may(path):
    room = room_of(path)
    for module in imports_of(path):
        if not module.startswith("siamjax."):
            continue
        inner = module.removeprefix("siamjax.")
        if inner == "__version__":
            continue
        if room in GROUND:
            permitted = set(GROUND[: GROUND.index(room)])
        else:
            permitted = ALLOWED[room] | {room, *GROUND}
        assert any(
            inner == rule or inner.startswith(rule + ".") or rule.startswith(inner + ".")
            for rule in permitted
        ), f"{path.relative_to(ROOT)} imports {module}; {room} may import {sorted(permitted)}"


@pytest.mark.parametrize("path", files(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_third_party_packages_stay_behind_their_fences(path):
    for module in imports_of(path):
        package = module.split(".")[0]
        if package in FENCES:
            assert is_inside(path, FENCES[package]), (
                f"{path.relative_to(ROOT)} imports {package}, "
                f"which belongs in {FENCES[package] or 'the tests'}"
            )
        if package in ("jax", "jaxlib"):
            assert not is_inside(path, WITHOUT_JAX), (
                f"{path.relative_to(ROOT)} imports jax; it must work with NumPy alone"
            )
        if is_inside(path, NUMPY_ALONE):
            assert package in {"numpy", "siamjax", *sys.stdlib_module_names}, (
                f"{path.relative_to(ROOT)} imports {package}; metrics import NumPy alone"
            )


def test_the_rules_have_no_circle():
    """Rooms can be put in an order in which each imports only those before it."""
    left = {room: {rule.split(".")[0] for rule in rules} for room, rules in ALLOWED.items()}
    while left:
        free = {room for room, rules in left.items() if not rules & left.keys()}
        assert free, f"these rooms import each other: {sorted(left)}"
        left = {room: rules for room, rules in left.items() if room not in free}


def test_the_entry_points_stay_short():
    for name, limit in {"train.py": 60, "eval.py": 80}.items():
        assert len((ROOT / name).read_text().splitlines()) <= limit, name


@pytest.mark.parametrize(
    "module", ["siamjax", "siamjax.config", "siamjax.geometry.boxes", "siamjax.cli"]
)
def test_the_ground_imports_no_heavy_package(module):
    program = (
        f"import sys, {module}\n"
        "print(*sorted({'jax', 'flax', 'cv2', 'matplotlib', 'grain'} & sys.modules.keys()))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""
