"""What a tile needs to know of the image that it is a part of."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from deblur_lit.predict.engine import Backend, Image, View, sample
from deblur_lit.predict.plan import SMALLEST, Needs, TilePlan, plan_pixels, plan_side
from deblur_lit.predict.reach import reach

WORTH = 1.5  # times the work of the whole image that is well spent on overlaps that make tiles exact
SAMPLED = 0.1  # of the pixels of a large image that means are taken over
PART = 320  # pixels: side of the parts over which means of a large image are taken
CUT = 32  # pixels at their ends that do not count
PARTS = 64  # at most


class WholeImage:
    """What the tiles of an image share: found when it is needed, and told in words."""

    def __init__(self, backend: Backend, image: Image, views: Sequence[View], pixels: float) -> None:
        self.backend, self.image, self.views, self.pixels = backend, image, views, pixels
        self.said: list[str] = []

    def of_views(self) -> list[Any]:
        """Return what the tiles of each view share, None for each where they share nothing."""
        return [self._first, *(self._of(view) for view in self.views[1:])]

    def reach(self) -> int:
        """Return how far a pixel sees to any effect."""
        return reach(self.backend, self.image, self._first)

    @cached_property
    def _first(self) -> Any:
        means = self._of(self.views[0])
        if means is not None:
            self.said.append("its means are those of the image, estimated")
        return means

    def _of(self, view: View) -> Any:
        if not self.backend.shares:
            return None
        height, width = self.image.shape[:2]
        number = min(PARTS, max(4, int(SAMPLED * height * width / PART**2)), int(self.pixels / PART**2))
        parts = sample(self.image, view, PART, max(1, number), self.backend.dtype)
        return self.backend.share(parts, CUT)


def plan_within(height: int, width: int, needs: Needs, pixels: int, reached: Callable[[], int]) -> TilePlan:
    """Return the plan with the whole margin where that is little work, else with the margin that has an effect."""
    if needs.margin is not None:
        plan = plan_pixels(height, width, needs, pixels, needs.margin)
        if plan is not None and plan.work <= WORTH:
            return plan
    margin = reached() if needs.margin is None else min(needs.margin, reached())
    while True:
        plan = plan_pixels(height, width, needs, pixels, margin)
        if plan is not None:
            return plan
        if not margin:
            return plan_side(height, width, Needs(needs.multiple, needs.minimum, None), SMALLEST, 0)
        margin //= 2
