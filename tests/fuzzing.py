"""What people bring instead of text, numbers and json: strategies for readers of all of it."""

import copy
from collections.abc import Iterator

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

quick = settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = [
    "0", "1", "-1", "3.5", ".5", "1.", "1e3", "1e999", "-1e-999", "nan", "NaN", "-inf", "",
    "9" * 400, "0x10", "1_0", "٣", "²", "1,5", "a", "'1'", "None", "true", "m0", "#", "[", "\0",
    "\ufeff", "\x85", "\u2028", "\udcff".encode("utf-8", "surrogatepass").decode("latin-1"),
]  # fmt: skip
_SEPARATORS = [",", ", ", ";", "\t", " ", "  ", ",,", ";\t", "|"]
_ENDS = ["\n", "\r\n", "\r", "\n\n", ""]

words = st.sampled_from(WORDS) | st.integers(-3, 400).map(str)


@st.composite
def lines(draw) -> str:
    """A few lines of words with odd separators and ends."""
    text = draw(st.sampled_from(["", "", "", "\ufeff", "x,y,w,h\n", "# 1\n", "[a]\n"]))
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.lists(words, max_size=11))
        text += draw(st.sampled_from(_SEPARATORS)).join(row) + draw(st.sampled_from(_ENDS))
    return text


# Rows of as many numbers as readers like, and numbers that arithmetic does not.
_NUMBERS = ["0", "1", "2", "3.5", "40", "-7", "1e300", "-1e300", "1e-300", "nan", "inf", "9e18"]
tables = st.sampled_from([1, 4, 4, 4, 5, 7, 8, 9, 10]).flatmap(
    lambda columns: st.lists(
        st.lists(st.sampled_from(_NUMBERS), min_size=columns, max_size=columns).map(",".join),
        min_size=4,
        max_size=4,
    ).map("\n".join)
)
encodings = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "utf-16-le", "utf-32"])
contents = st.tuples(lines(), encodings).map(lambda pair: pair[0].encode(pair[1])) | st.binary()

odd_values = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**70, 10**400, float("nan"), float("inf"), "", "1", "x", "\0",
     "/", "../x", "\ud800", "x" * 300, [], [[]], {}, [1], [None] * 4,
     [1, 2, 3, 4], {"size": [1, 2]}]
)  # fmt: skip


def places(content, path=()) -> Iterator[tuple]:
    """Every path into nested lists and dicts, the empty one for the whole."""
    yield path
    inside = ()
    if isinstance(content, dict):
        inside = content.items()
    elif isinstance(content, list):
        inside = enumerate(content)
    for key, value in inside:
        yield from places(value, (*path, key))


@st.composite
def damaged(draw, content):
    """A json value in which one to three places hold something odd, or nothing."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(content))))
        value = copy.deepcopy(draw(odd_values))
        if not path:
            return value
        place = content
        for key in path[:-1]:
            place = place[key]
        if draw(st.booleans()):
            place[path[-1]] = value
        elif isinstance(place, dict):
            del place[path[-1]]
    return content
