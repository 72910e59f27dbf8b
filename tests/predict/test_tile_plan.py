"""Plans of tiles: they cover every image, read what they have to, and hold no more than they may."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deblur_lit.predict.plan import BLEND, Needs, TilePlan, plan_pixels, plan_side, whole

SIDES = st.integers(1, 5000)
NEEDS = st.builds(
    lambda multiple, times, margin: Needs(multiple, multiple * times, margin),
    st.sampled_from([1, 4, 16, 32]),
    st.integers(1, 2),
    st.sampled_from([None, 0, 3, 50, 300]),
)


def check_cover(plan: TilePlan, height: int, width: int) -> None:
    for spans, length in ((plan.rows, height), (plan.columns, width)):
        assert (spans[0][0], spans[-1][1]) == (0, length)
        for (start, stop), (later, last) in pairwise(spans):
            assert start < later <= stop < last
            assert stop - later == (0 if plan.exact else min(BLEND, stop - later))
        for span in spans:
            start, stop = plan.window(span, length)
            assert start % plan.needs.multiple == 0
            assert stop == length or stop % plan.needs.multiple == 0
            assert start <= max(0, span[0] - plan.margin)
            assert stop >= min(length, span[1] + plan.margin)
            assert stop - start >= min(length, plan.needs.minimum)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, NEEDS, st.integers(96**2, 4 * 10**6), st.sampled_from([0, 3, 50, 300]))
def test_tiles_cover_the_image_and_hold_no_more_than_they_may(
    height: int, width: int, needs: Needs, pixels: int, margin: int
) -> None:
    plan = plan_pixels(height, width, needs, pixels, margin)
    if plan is None:  # the smallest tile with its margin would be too large
        assert pixels < (2 * (margin + needs.multiple) + 3 * BLEND) ** 2 or min(height, width) < pixels**0.5
        return
    check_cover(plan, height, width)
    assert plan.largest <= pixels
    assert plan.work >= 1
    assert plan.exact == (plan.tiles == 1 or (needs.margin is not None and margin >= needs.margin))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600), NEEDS, st.integers(1, 700))
def test_tiles_of_a_stated_side_cover_the_image(height: int, width: int, needs: Needs, side: int) -> None:
    plan = plan_side(height, width, needs, side, reach=20)
    check_cover(plan, height, width)
    assert all(stop - start <= side for spans in (plan.rows, plan.columns) for start, stop in spans)
    assert plan.exact == (needs.margin is not None or plan.tiles == 1)


def test_a_short_side_is_not_cut() -> None:
    plan = plan_pixels(4097, 3, Needs(4, 4, 159), pixels=2000, margin=20)
    assert plan is not None
    assert plan.columns == ((0, 3),)
    assert plan.tiles == 7


def test_more_memory_means_less_work() -> None:
    plans = [plan_pixels(8333, 12000, Needs(4, 4, 60), pixels, 60) for pixels in (10**5, 10**6, 10**7)]
    work = [plan.work for plan in plans if plan]
    assert len(work) == 3
    assert work == sorted(work, reverse=True)
    assert work[-1] < 1.15


def test_the_plan_says_what_its_tiles_do_not_see() -> None:
    assert whole(5, 6, Needs()).describe() == "in one piece"
    seen = plan_side(100, 200, Needs(1, 1, 7), 50, reach=0).describe()
    assert seen == "8 tiles of 50x50 with 7 pixels around each, all that a pixel depends on"
    cut = plan_pixels(300, 400, Needs(1, 1, 90), 200**2, 20)
    assert cut is not None
    assert cut.describe().endswith("with 20 pixels around each, of the 90 that a pixel depends on")
    unbounded = plan_side(100, 200, Needs(1, 1, None), 50, reach=9)
    assert unbounded.describe().endswith("9 pixels around each, of the whole image that a pixel depends on")


def test_a_side_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="tile=0"):
        plan_side(5, 5, Needs(), 0, 0)
