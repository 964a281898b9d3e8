"""Sequence lists of benchmarks whose folders hold more, and first frames within a folder.

Names are compared without case and separators; for a sequence with several targets, the name
without the target number matches too.
"""

import re
from collections.abc import Iterable

from siamjax.evaluation.benchmarks.names import plain_name

# Source: the benchmark's page (visual tracker benchmark, TB-50 and the CVPR 2013 set); the
# GOT-10k toolkit keeps the same lists.
_TB_50 = """
    Basketball Biker Bird1 BlurBody BlurCar2 BlurFace BlurOwl Bolt Box Car1 Car4 CarDark
    CarScale ClifBar Couple Crowds David Deer Diving DragonBaby Dudek Football Freeman4 Girl
    Human3 Human4 Human6 Human9 Ironman Jump Jumping Liquor Matrix MotorRolling Panda
    RedTeam Shaking Singer2 Skating1 Skating2 Skiing Soccer Surfer Sylvester Tiger2 Trellis
    Walking Walking2 Woman
"""
_CVPR13 = """
    Basketball Bolt Boy Car4 CarDark CarScale Coke Couple Crossing David David2 David3 Deer
    Dog1 Doll Dudek FaceOcc1 FaceOcc2 Fish FleetFace Football Football1 Freeman1 Freeman3
    Freeman4 Girl Ironman Jogging Jumping Lemming Liquor Matrix Mhyang MotorRolling
    MountainBike Shaking Singer1 Singer2 Skating1 Skiing Soccer Subway Suv Sylvester Tiger1
    Tiger2 Trellis Walking Walking2 Woman
"""

# LaSOT's test split: the numbers of each category. Source: its paper and the GOT-10k toolkit.
_LASOT_TEST = {
    "airplane": (1, 9, 13, 15),
    "basketball": (1, 6, 7, 11),
    "bear": (2, 4, 6, 17),
    "bicycle": (2, 7, 9, 18),
    "bird": (2, 3, 15, 17),
    "boat": (3, 4, 12, 17),
    "book": (3, 10, 11, 19),
    "bottle": (1, 12, 14, 18),
    "bus": (2, 5, 17, 19),
    "car": (2, 6, 9, 17),
    "cat": (1, 3, 18, 20),
    "cattle": (2, 7, 12, 13),
    "chameleon": (3, 6, 11, 20),
    "coin": (3, 6, 7, 18),
    "crab": (3, 6, 12, 18),
    "crocodile": (3, 4, 10, 14),
    "cup": (1, 4, 7, 17),
    "deer": (4, 8, 10, 14),
    "dog": (1, 7, 15, 19),
    "drone": (2, 7, 13, 15),
    "electricfan": (1, 10, 18, 20),
    "elephant": (1, 12, 16, 18),
    "flag": (2, 3, 5, 9),
    "fox": (2, 3, 5, 20),
    "frog": (3, 4, 9, 20),
    "gametarget": (1, 2, 7, 13),
    "gecko": (1, 5, 16, 19),
    "giraffe": (2, 10, 13, 15),
    "goldfish": (3, 7, 8, 10),
    "gorilla": (4, 6, 9, 13),
    "guitar": (3, 8, 10, 16),
    "hand": (2, 3, 9, 16),
    "hat": (1, 2, 5, 18),
    "helmet": (5, 11, 13, 19),
    "hippo": (1, 7, 9, 20),
    "horse": (1, 4, 12, 15),
    "kangaroo": (2, 5, 11, 14),
    "kite": (4, 6, 10, 15),
    "leopard": (1, 7, 16, 20),
    "licenseplate": (6, 12, 13, 15),
    "lion": (1, 5, 12, 20),
    "lizard": (1, 3, 6, 13),
    "microphone": (2, 6, 14, 16),
    "monkey": (3, 4, 9, 17),
    "motorcycle": (1, 3, 9, 18),
    "mouse": (1, 8, 9, 17),
    "person": (1, 5, 10, 12),
    "pig": (2, 10, 13, 18),
    "pool": (3, 7, 12, 15),
    "rabbit": (10, 13, 17, 19),
    "racing": (10, 15, 16, 20),
    "robot": (1, 5, 8, 19),
    "rubicCube": (1, 6, 14, 19),
    "sepia": (6, 8, 13, 16),
    "shark": (2, 3, 5, 6),
    "sheep": (3, 5, 7, 9),
    "skateboard": (3, 8, 16, 19),
    "spider": (14, 16, 18, 20),
    "squirrel": (8, 11, 13, 19),
    "surfboard": (4, 5, 8, 12),
    "swing": (10, 14, 17, 20),
    "tank": (6, 9, 14, 16),
    "tiger": (4, 6, 12, 18),
    "train": (1, 7, 11, 20),
    "truck": (3, 6, 7, 16),
    "turtle": (5, 8, 9, 16),
    "umbrella": (2, 9, 17, 19),
    "volleyball": (1, 13, 18, 19),
    "yoyo": (7, 15, 17, 19),
    "zebra": (10, 14, 16, 17),
}

# UAV123 sequences that share a folder of images: the first frames of <folder>_1, <folder>_2
# and so on, from 1. Each is as long as its ground truth. Source: the benchmark's
# configSeqs.m, also kept by the GOT-10k toolkit.
UAV123_FIRST_FRAMES = {
    "bird1": (1, 775, 1573),
    "car1": (1, 751, 1627),
    "car6": (1, 487, 1807, 2953, 3925),
    "car8": (1, 1357),
    "car16": (1, 415),
    "group1": (1, 1333, 2515, 3925),
    "group2": (1, 907, 1771),
    "group3": (1, 1567, 2827, 4369),
    "person2": (1, 1189),
    "person4": (1, 1501),
    "person5": (1, 877),
    "person7": (1, 1249),
    "person8": (1, 1075),
    "person12": (1, 601),
    "person14": (1, 847, 1813),
    "person17": (1, 1501),
    "person19": (1, 1243, 2791),
    "truck4": (1, 577),
    "uav1": (1, 1555, 2473),
}

_MEMBERS = {
    "TB-50": frozenset(map(plain_name, _TB_50.split())),
    "CVPR13": frozenset(map(plain_name, _CVPR13.split())),
    "LaSOT-test": frozenset(
        plain_name(f"{category}-{number}")
        for category, numbers in _LASOT_TEST.items()
        for number in numbers
    ),
}


def belongs(name: str, members: str) -> bool:
    """Whether a sequence is in a list; the empty name means that there is no list."""
    if not members:
        return True
    listed = _MEMBERS[members]
    return plain_name(name) in listed or plain_name(_target_of(name)) in listed


def not_among(names: Iterable[str], members: str) -> list[str]:
    """The members of a list, in plain form, that are not among `names`."""
    names = list(names)
    seen = set(map(plain_name, names)) | {plain_name(_target_of(name)) for name in names}
    return sorted(_MEMBERS[members] - seen) if members else []


def _target_of(name: str) -> str:
    return re.sub(r"[-_.]\d+$", "", name)


def member_count(members: str) -> int:
    """The number of members of a list."""
    return len(_MEMBERS[members])
