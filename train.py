"""Trains a network: python train.py --config configs/quickstart.py --workdir runs/quickstart

Any field of the configuration can be overridden (--optim.lr 0.01); with --config, --help lists
them. The same command goes on where it stopped. Exit codes: 0 finished, 1 cannot go on, 2 wrong
arguments, 130 and 143 stopped by Ctrl-C and SIGTERM after saving.
"""

import sys

from siamjax.commands.train import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], __doc__))
