"""`siamjax train` in a checkout: python train.py --config quickstart --workdir runs/mine"""

from siamjax.cli import command

if __name__ == "__main__":
    command("train")
