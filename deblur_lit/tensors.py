"""The two things that travel between the parts: a batch of image pairs and a pyramid of restored images."""

from typing import NamedTuple, TypedDict

from torch import Tensor


class Batch(TypedDict):
    """A batch of aligned pairs.

    `blur` and `sharp` are (B, 3, H, W) RGB uint8 with channels_last strides, which the module turns into float
    [0, 1] on its device. `name` holds `<sequence>/<frame>` per image.
    """

    blur: Tensor
    sharp: Tensor
    name: list[str]


class Pyramid(NamedTuple):
    """Restored images, nominally in [0, 1] and not clamped; single-scale networks fill `full` only.

    `full` is (B, 3, H, W), `half` (B, 3, ceil(H/2), ceil(W/2)), `quarter` (B, 3, ceil(H/4), ceil(W/4)).
    """

    full: Tensor
    half: Tensor | None = None
    quarter: Tensor | None = None
