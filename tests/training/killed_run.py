"""A run for `test_kill` to kill: tiny, slow to read, and saving almost all the time."""

import dataclasses
import sys
import time
from pathlib import Path

import jax

from siamjax.config import Config
from siamjax.training import loop
from tests.training.tiny import STAGED, Batches, StagedNet, init_tiny


def config_of(pairs_per_epoch: int) -> Config:
    """The run's configuration; the backbone joins in the middle."""
    train = dataclasses.replace(
        STAGED.train,
        epochs=4,
        pairs_per_epoch=pairs_per_epoch,
        checkpoint_every=1,
        log_every=7,
    )
    optim = dataclasses.replace(STAGED.optim, backbone_train_epoch=2)
    return dataclasses.replace(STAGED, optim=optim, train=train)


class SlowBatches(Batches):
    """So slow that a run outlives the kills, however fast the machine."""

    def __next__(self):
        time.sleep(0.05)
        return super().__next__()


def main(workdir: str, pairs_per_epoch: str) -> None:
    """Waits for a line on the standard input, then trains."""
    jax.config.update("jax_num_cpu_devices", 2)
    loop.build_network = lambda model: StagedNet()
    loop.init_variables = init_tiny
    loop.make_batches = SlowBatches
    sys.stdin.readline()
    loop.train(config_of(int(pairs_per_epoch)), Path(workdir))


if __name__ == "__main__":
    main(*sys.argv[1:])
