"""TextGrids, long and short."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_budget.errors import BudgetError
from fairseq_budget.segmentation.textgrid import read_tier

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "say ""ə"" 12
twice"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.7
            mark = "!"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 1.0
            text = "s"
        intervals [3]:
            xmin = 1.0
            xmax = 1.5
            text = "ɛ"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
3
"IntervalTier"
"words"
0
1.5
1
0
1.5
"say ""ə"" 12
twice"
"TextTier"
"clicks"
0
1.5
1
0.7
"!"
"IntervalTier"
"phones"
0
1.5
3
0
0.25
""
0.25
1.0
"s"
1.0
1.5
"ɛ"
"""


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "a.TextGrid"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace("\n", "\r\n")])
def test_all_formats_hold_the_same_intervals(tmp_path, text, encoding):
    path = write(tmp_path, text, encoding)
    assert read_tier(path, "phones") == [(0, 0.25, ""), (0.25, 1, "s"), (1, 1.5, "ɛ")]
    assert [row[2].replace("\r", "") for row in read_tier(path, "words")] == ['say "ə" 12\ntwice']


@pytest.mark.parametrize("tier", ["phone", "clicks"])
def test_a_missing_tier_is_an_error_that_names_those_there_are(tmp_path, tier):
    with pytest.raises(BudgetError, match=rf"no interval tier '{tier}'.*'words', 'phones'"):
        read_tier(write(tmp_path, LONG), tier)


def test_a_grid_without_tiers_says_so(tmp_path):
    with pytest.raises(BudgetError, match="none at all"):
        read_tier(write(tmp_path, SHORT[: SHORT.index("<exists>")] + "<absent>"), "phones")


@pytest.mark.parametrize("wrong", ["0.2", "1.2"])
def test_intervals_out_of_order_are_an_error(tmp_path, wrong):
    text = LONG.replace("xmin = 0.25\n            xmax = 1.0", f"xmin = {wrong}\n xmax = 1.1")
    with pytest.raises(BudgetError, match=r"tier 'phones': interval [23] .*order of time"):
        read_tier(write(tmp_path, text), "phones")


@pytest.mark.parametrize(
    "text",
    ["", "utterance,start,end\n", LONG[: LONG.index('"s"')], LONG[: LONG.index("xmax = 1.0")],
     LONG.replace('"s"', "7"), LONG.replace("size = 3\nitem", 'size = "x"\nitem'),
     *(LONG.replace("intervals: size = 3", f"intervals: size = {n}")
       for n in ("-3", "2.5", "1e400", "2", "4", "9" * 5000)),
     SHORT.replace("1.5", "1e400"), SHORT.replace("1.5", "1.5.1")],
)  # fmt: skip
def test_a_broken_file_is_an_error(tmp_path, text):
    with pytest.raises(BudgetError, match=r"a.TextGrid is broken .*expected a TextGrid"):
        read_tier(write(tmp_path, text), "phones")


def test_a_file_that_is_not_there_or_no_text_is_an_error(tmp_path):
    with pytest.raises(BudgetError, match="cannot read"):
        read_tier(tmp_path / "none.TextGrid", "phones")
    (tmp_path / "a.TextGrid").write_bytes(b"\xfe\xff\x00")
    with pytest.raises(BudgetError, match="broken"):
        read_tier(tmp_path / "a.TextGrid", "phones")


@given(st.integers(0, len(SHORT)), st.integers(0, len(SHORT)), st.text(max_size=5))
def test_any_changed_grid_is_read_in_the_order_of_time_or_is_an_error(tmp_path_factory, a, b, new):
    path = write(tmp_path_factory.getbasetemp(), SHORT[: min(a, b)] + new + SHORT[max(a, b) :])
    with contextlib.suppress(BudgetError):
        times = [time for start, end, _ in read_tier(path, "phones") for time in (start, end)]
        assert times == sorted(times)
        assert all(map(math.isfinite, times))
