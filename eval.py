"""`siamjax eval` in a checkout: python eval.py --benchmark otb --data OTB --out runs/otb"""

from siamjax.cli import command

if __name__ == "__main__":
    command("eval")
