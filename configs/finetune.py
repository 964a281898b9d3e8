"""The tracker that ships, fine-tuned on your own clips in about ten minutes.

For one kind of target or scene with a few labelled clips: starts from the `siamjax_small` that
ships, keeps its backbone frozen and trains the rest at a tenth of the learning rate.

Nothing is published for it. Expected (ours): see docs/training.md, which explains each step.

    siamjax prepare otb --input CLIPS --out prepared/mine --index-base 0 \
        --crop-size 335 --template-size 111
    python train.py --config configs/finetune.py --workdir runs/mine
    siamjax track video.mp4 --init 120,80,64,48 --weights runs/mine
"""

import dataclasses
from pathlib import Path

from siamjax.config import Config, InitConfig, SourceConfig, ValidationConfig
from siamjax.config_files import load_config


def get_config() -> Config:
    """`siamjax_small` on one source, its backbone frozen."""
    base = load_config(Path(__file__).with_name("siamjax_small.py"))
    return dataclasses.replace(
        base,
        name="finetune",
        data=dataclasses.replace(
            base.data, sources=(SourceConfig(path="prepared/mine", frame_range=50),)
        ),
        optim=dataclasses.replace(
            base.optim,
            lr=0.002,
            end_lr=0.0002,
            warmup_lr=0.0005,
            schedule="log",
            backbone_train_epoch=0,
            backbone_train_stages=(),
            head_norm="fixed",
        ),
        train=dataclasses.replace(
            base.train, epochs=3, pairs_per_epoch=3200, average_decay=0.98
        ),
        init=InitConfig(path="siamjax_small"),
        validation=ValidationConfig(),
    )
