"""Alignment of two grey images by a homography that maximises their enhanced correlation coefficient (ECC).

Forward additive iteration of Evangelidis and Psarakis, IEEE PAMI 30(10), 2008, with the choices of OpenCV 4.2's
`findTransformECC`, which the RealBlur script calls. What it smooths, samples and rounds is smoothed, sampled and
rounded here, in the same order, so that the homographies are equal.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deblur_lit.metrics.float32 import DotOrder, dot, inverse, running_sums
from deblur_lit.metrics.warp import Doubles, LinearSampler, Plane, Planes, bands, inside, positions

SMOOTHING = np.array([1, 4, 6, 4, 1], np.float32) / np.float32(16)  # OpenCV's Gaussian of size 5 without a sigma
FLAT = 1e-13  # variance of grey values in [0, 1]: rounding stays below, one pixel that is off by one level above


class AlignmentError(ValueError):
    """Two images cannot be aligned; the message says why."""


class _Band(NamedTuple):
    """Some rows of the warped image.

    `slopes` (3, rows, W) are the derivatives by a shift along x, along y, and by the third coordinate; `image` and
    `template` (rows, W) become free of their means where the warped image exists (`inside`, 1 or 0).
    """

    slopes: Planes
    image: Plane
    template: Plane
    inside: Plane


def align(template: Plane, image: Plane, iterations: int = 100) -> Doubles:
    """Return the homography under which an image correlates best with a template.

    Every iteration is made, as the protocol has it: there is no test of convergence. On real pairs the last ones move
    the corners by about 0.0001 to 0.02 pixels to and fro, because positions are rounded to 1/32 pixel.

    Args:
        template: (H, W) grey, in [0, 1].
        image: (H, W) grey, nominally in [0, 1].
        iterations: steps from the identity.

    Returns:
        (3, 3), the last entry 1. It maps pixels (x, y, 1) of the template to those of the image.

    Raises:
        AlignmentError: if the iteration leads to images that are constant where they overlap, that do not overlap,
            or that are not correlated, or if their texture does not determine a homography.
    """
    step = _Step(smooth(template), smooth(image))
    columns = np.eye(3, dtype=np.float32)  # of the homography, one after the other
    for _ in range(iterations):
        columns.reshape(-1)[:8] += step(columns.T)
        if not np.isfinite(columns).all():
            raise AlignmentError("the alignment diverges")
    return columns.T.astype(np.float64)


def grey(image: Planes) -> Plane:
    """Return the luma (H, W) of RGB planes (3, H, W)."""
    red, green, blue = image
    return red * np.float32(0.299) + green * np.float32(0.587) + blue * np.float32(0.114)


def smooth(plane: Plane) -> Plane:
    """Apply the binomial filter of five taps along both axes; borders are mirrored without the border pixel."""
    for _ in range(2):
        rows = np.pad(plane, ((0, 0), (2, 2)), mode="reflect")
        size = plane.shape[1]
        total = SMOOTHING[2] * rows[:, 2 : 2 + size]
        for offset in (1, 2):
            total += SMOOTHING[2 + offset] * (rows[:, 2 - offset :][:, :size] + rows[:, 2 + offset :][:, :size])
        plane = total.T  # the other axis next, and back
    return np.ascontiguousarray(plane)


def gradient(plane: Plane) -> tuple[Plane, Plane]:
    """Return central differences along x and y; 0 at the borders across them."""
    padded = np.pad(plane, 1, mode="reflect")
    half = np.float32(0.5)
    along_x = half * padded[1:-1, 2:] - half * padded[1:-1, :-2]
    along_y = half * padded[2:, 1:-1] - half * padded[:-2, 1:-1]
    return along_x, along_y


class _Step:
    """One step of the iteration: the paper's forward additive form.

    Args:
        template: (H, W), smoothed.
        image: (H, W), smoothed.
    """

    def __init__(self, template: Plane, image: Plane) -> None:
        self.template = template
        self.sampler = LinearSampler(np.stack([image, *gradient(image)]))
        self.rows = list(bands(len(template)))
        self.orders = [DotOrder(rows.stop - rows.start, template.shape[1]) for rows in self.rows]
        y, x = np.indices(template.shape, np.float32)
        self.coordinates = [
            order.arrange(np.stack([x[rows], y[rows]])) for rows, order in zip(self.rows, self.orders, strict=True)
        ]

    def __call__(self, warp: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change (8,) of the parameters, in order of the homography's columns."""
        centred, image_energy, template_energy = _centred([self._warped(warp, rows) for rows in self.rows])
        correlation = dot(*(np.concatenate(planes) for planes in zip(*(band[1:3] for band in centred), strict=True)))
        stacks = [self._stack(*parts) for parts in zip(centred, self.orders, self.coordinates, strict=True)]
        hessian, on_image, on_template = self._projections(stacks)
        inverted = inverse(hessian)
        if inverted is None:
            raise AlignmentError("the texture of the restored image does not determine an alignment")
        solved = _times(inverted, on_image)
        denominator = correlation - dot(on_template, solved)
        if not denominator > 0:
            raise AlignmentError("the images are not correlated")
        gain = (image_energy - dot(on_image, solved)) / denominator
        return _times(inverted, self._errors(stacks, gain))

    def _warped(self, warp: NDArray[np.float32], rows: slice) -> _Band:
        """Sample image and gradient under the warp; nothing is centred yet."""
        at = positions(warp, rows, self.sampler.width)
        image, *gradients = self.sampler(at)
        x, y, third = (coordinate.astype(np.float32) for coordinate in (at.scaled_x, at.scaled_y, at.third))
        slopes = np.empty((3, *image.shape), np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # on the vanishing line; then nothing is aligned
            np.divide(gradients, third, out=slopes[:2])
            np.add(x / third * slopes[0], y / third * slopes[1], out=slopes[2])
        np.negative(slopes[2], out=slopes[2])
        return _Band(slopes, image, self.template[rows], inside(at, self.sampler.height, self.sampler.width))

    def _stack(self, band: _Band, order: DotOrder, coordinates: Planes) -> Planes:
        """Stack (10, n): the derivatives of the image by the parameters, the image, and the template."""
        slopes = order.arrange(band.slopes)
        stack = np.empty((10, slopes.shape[1]), np.float32)
        np.multiply(slopes, coordinates[0], out=stack[:3])
        np.multiply(slopes, coordinates[1], out=stack[3:6])
        stack[6:8] = slopes[:2]
        stack[8:9], stack[9:] = order.arrange(band.image[None]), order.arrange(band.template[None])
        return stack

    def _projections(self, stacks: list[Planes]) -> tuple[Planes, Plane, Plane]:
        """Return the Hessian (8, 8), and the projections (8,) of image and template onto the derivatives."""
        total = np.zeros((8, 10))
        buffer = np.empty_like(stacks[0][1:])
        for stack, order in zip(stacks, self.orders, strict=True):
            for row in range(8):
                one = stack[row].astype(np.float64)
                total[row, row] += one @ one
                products = np.multiply(stack[row], stack[row + 1 :], out=buffer[row:, : len(one)])
                total[row, row + 1 :] += order.sums(products)
        rounded = total.astype(np.float32)
        upper = np.triu(rounded[:, :8])
        return upper + np.triu(upper, 1).T, rounded[:, 8], rounded[:, 9]

    def _errors(self, stacks: list[Planes], gain: float) -> Plane:
        """Project what remains of the template times a gain when the image is subtracted: (8,)."""
        total = np.zeros(8)
        buffer = np.empty_like(stacks[0][:8])
        for stack, order in zip(stacks, self.orders, strict=True):
            error = (gain * stack[9].astype(np.float64) - stack[8]).astype(np.float32)
            total += order.sums(np.multiply(stack[:8], error, out=buffer[:, : len(error)]))
        return total.astype(np.float32)


def _centred(warped: list[_Band]) -> tuple[list[_Band], float, float]:
    """Subtract the means over the overlap; outside of it the template becomes 0, the image stays what it is.

    Returns:
        The bands, and the sums of squares of image and template over the overlap.
    """
    count = sum(float(band.inside.sum()) for band in warped)
    if count == 0:
        raise AlignmentError("the images do not overlap after alignment")
    means, energies = [], []
    for name, part in (("restored", 1), ("sharp", 2)):
        sums = 0j
        for band in warped:
            sums = running_sums(sums, band[part] * band.inside)
        mean, square = sums.real * (1 / count), sums.imag * (1 / count)
        deviation = math.sqrt(max(square - mean * mean, 0))
        if deviation**2 < FLAT:
            raise AlignmentError(f"the {name} image is constant where the images overlap")
        means.append(np.float32(mean))
        energies.append(math.sqrt(count * deviation * deviation) ** 2)
    centred = [
        band._replace(image=band.image - means[0] * band.inside, template=(band.template - means[1]) * band.inside)
        for band in warped
    ]
    return centred, energies[0], energies[1]


def _times(matrix: Planes, vector: Plane) -> Plane:
    return (matrix.astype(np.float64) @ vector.astype(np.float64)).astype(np.float32)
