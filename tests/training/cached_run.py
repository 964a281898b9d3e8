"""A run for `test_cached_run`: says what was compiled, and what the parameters are."""

import hashlib
import sys
from collections import Counter
from pathlib import Path

import jax

from siamjax.training import loop
from tests.training.tiny import CONFIG, Batches, TinyNet, init_tiny


def main(workdir: str, devices: str) -> None:
    """Trains from the start, and prints cache hits, misses, and a digest of the state."""
    jax.config.update("jax_num_cpu_devices", int(devices))
    counts: Counter[str] = Counter()
    jax.monitoring.register_event_listener(lambda event, **_: counts.update([event]))
    loop.build_network = lambda model: TinyNet()
    loop.init_variables = init_tiny
    loop.make_batches = Batches
    state = loop.train(CONFIG, Path(workdir))
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(state)):
        digest.update(leaf.tobytes())
    hits, misses = (
        counts[f"/jax/compilation_cache/cache_{kind}"] for kind in ("hits", "misses")
    )
    print("RESULT", hits, misses, digest.hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
