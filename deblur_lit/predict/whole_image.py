"""What a tile needs to know of the image that it is a part of."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from deblur_lit.predict.engine import Backend, Image, View, sample
from deblur_lit.predict.plan import SMALLEST, Needs, TilePlan, plan_pixels, plan_side
from deblur_lit.predict.reach import reach

WORTH = 1.5  # times the work of the whole image that is well spent on overlaps that make tiles exact
MOST = 4.0  # times that, for overlaps that leave out what has no effect
SAMPLED = 0.05  # of the pixels of a large image that means are taken over
PART = 128  # pixels: side of the parts over which means of a large image are taken
CUT = 8  # pixels at their ends that do not count
PARTS = (16, 256)  # at least and at most, where the memory allows
TRIED = 256  # pixels: side of the tile on which two estimates of the means are compared


class WholeImage:
    """What the tiles of an image share: found when it is needed, and told in words."""

    def __init__(self, backend: Backend, image: Image, views: Sequence[View], pixels: float) -> None:
        self.backend, self.image, self.views, self.pixels = backend, image, views, pixels
        self.said: list[str] = []

    def of_views(self) -> list[Any]:
        """Return what the tiles of each view share, None for each where they share nothing."""
        first = self._first
        return [first, *(None if first is None else self._of(view, self._number) for view in self.views[1:])]

    def reach(self) -> int:
        """Return how far a pixel sees to any effect."""
        return reach(self.backend, self.image, self._first)

    @cached_property
    def _first(self) -> Any:
        if not self.backend.shares:
            return None
        number = self._number
        means = self._of(self.views[0], number)
        others = self._of(self.views[0], number, 3 * PART // 4)
        tile = sample(self.image, self.views[0], TRIED, 1, self.backend.dtype)
        one, two = (self.backend.restore(tile, estimate) for estimate in (means, others))
        apart = 255 * float(np.abs(one - two).max())
        self.said.append(
            f"means of the image are taken over {number} parts of {PART}x{PART}; "
            f"over smaller ones, a tile in its middle changes by up to {apart:.2g}/255"
        )
        return means

    @property
    def _number(self) -> int:
        height, width = self.image.shape[:2]
        wanted = int(SAMPLED * height * width / PART**2)
        return max(1, min(max(wanted, PARTS[0]), PARTS[1], int(min(self.pixels, 2**31) / PART**2)))

    def _of(self, view: View, number: int, side: int = PART) -> Any:
        return self.backend.share(sample(self.image, view, side, number, self.backend.dtype), CUT)


def plan_within(height: int, width: int, needs: Needs, pixels: int, reached: Callable[[], int]) -> TilePlan:
    """Return the plan with the whole margin where that is little work, else with the margin that has an effect."""
    if needs.margin is not None:
        plan = plan_pixels(height, width, needs, pixels, needs.margin)
        if plan is not None and plan.work <= WORTH:
            return plan
    margin = reached() if needs.margin is None else min(needs.margin, reached())
    while True:
        plan = plan_pixels(height, width, needs, pixels, margin)
        if plan is not None and (plan.work <= MOST or margin == 0):
            return plan
        if margin == 0:
            return plan_side(height, width, Needs(needs.multiple, needs.minimum, None), SMALLEST, 0)
        margin //= 2
