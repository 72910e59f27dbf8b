"""Alignment of two grey images by a homography that maximises their enhanced correlation coefficient (ECC).

Forward additive iteration of Evangelidis and Psarakis, IEEE PAMI 30(10), 2008, with the choices of OpenCV 4.2's
`findTransformECC`, which the RealBlur script calls. What it smooths, samples and rounds is smoothed, sampled and
rounded here, in the same order, so that the homographies are equal.
"""

import math

import numpy as np
from numpy.typing import NDArray

from deblur_lit.metrics.float32 import DotOrder, dot, inverse, running_sums
from deblur_lit.metrics.warp import Doubles, LinearSampler, Plane, Planes, bands, inside, positions

SMOOTHING = np.array([1, 4, 6, 4, 1], np.float32) / np.float32(16)  # OpenCV's Gaussian of size 5 without a sigma
FLAT = 1e-13  # variance of grey values in [0, 1]: rounding stays below, one pixel that is off by one level above


class AlignmentError(ValueError):
    """Two images cannot be aligned; the message says why."""


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


class _Band:
    """Some rows of the images, and their work space.

    `parts` (5, n) holds the warped image in `DotOrder`: its derivatives by a shift along x, along y and by the third
    coordinate, itself, and the template; the last two free of their means.
    """

    def __init__(self, template: Plane, rows: slice, sampler: LinearSampler) -> None:
        self.rows = rows
        self.template = template[rows]
        self.sampler = sampler
        height, width = self.template.shape
        self.order = DotOrder(height, width)
        y, x = np.indices((height, width), np.float32)
        self.coordinates = self.order.arrange(np.stack([x, y + np.float32(rows.start)]))
        self.parts = np.empty((5, height * width), np.float32)
        self.image = self.inside = self.template

    def warp(self, warp: NDArray[np.float32]) -> None:
        """Sample image and gradient under the warp."""
        at = positions(warp, self.rows, self.sampler.width)
        self.image, *gradients = self.sampler(at)
        self.inside = inside(at, self.sampler.height, self.sampler.width)
        x, y, third = (coordinate.astype(np.float32) for coordinate in (at.scaled_x, at.scaled_y, at.third))
        slopes = np.empty((3, *self.image.shape), np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # on the vanishing line; then nothing is aligned
            np.divide(gradients, third, out=slopes[:2])
            np.add(x / third * slopes[0], y / third * slopes[1], out=slopes[2])
        np.negative(slopes[2], out=slopes[2])
        self.parts[:3] = self.order.arrange(slopes)

    def centre(self, image_mean: np.float32, template_mean: np.float32) -> Planes:
        """Subtract the means; return image and template (2, rows, W).

        Where the warped image does not exist, the template becomes 0 and the image stays what it is.
        """
        centred = np.stack([self.image - image_mean * self.inside, (self.template - template_mean) * self.inside])
        self.parts[3:] = self.order.arrange(centred)
        return centred

    def derivatives(self, out: Planes) -> None:
        """Write the derivatives (8, n) of the warped image by the parameters, in order of the columns."""
        np.multiply(self.parts[:3], self.coordinates[0], out=out[:3])
        np.multiply(self.parts[:3], self.coordinates[1], out=out[3:6])
        out[6:8] = self.parts[:2]


class _Step:
    """One step of the iteration: the paper's forward additive form.

    Args:
        template: (H, W), smoothed.
        image: (H, W), smoothed.
    """

    def __init__(self, template: Plane, image: Plane) -> None:
        sampler = LinearSampler(np.stack([image, *gradient(image)]))
        self.bands = [_Band(template, rows, sampler) for rows in bands(len(template))]
        self.work = np.empty((2, 10, self.bands[0].parts.shape[1]), np.float32)

    def __call__(self, warp: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change (8,) of the parameters, in order of the homography's columns."""
        for band in self.bands:
            band.warp(warp)
        means, energies = self._moments()
        centred = [band.centre(*means) for band in self.bands]
        hessian, on_image, on_template = self._projections()
        inverted = inverse(hessian)
        if inverted is None:
            raise AlignmentError("the texture of the restored image does not determine an alignment")
        solved = _times(inverted, on_image)
        denominator = dot(*np.concatenate(centred, axis=1)) - dot(on_template, solved)
        if not denominator > 0:
            raise AlignmentError("the images are not correlated")
        gain = (energies[0] - dot(on_image, solved)) / denominator
        return _times(inverted, self._errors(gain))

    def _moments(self) -> tuple[list[np.float32], list[float]]:
        """Return the means of image and template over their overlap, and their sums of squares about them."""
        count = sum(float(band.inside.sum()) for band in self.bands)
        if count == 0:
            raise AlignmentError("the images do not overlap after alignment")
        means, energies = [], []
        for name in ("image", "template"):
            sums = 0j
            for band in self.bands:
                sums = running_sums(sums, getattr(band, name) * band.inside)
            mean, square = sums.real * (1 / count), sums.imag * (1 / count)
            deviation = math.sqrt(max(square - mean * mean, 0))
            if deviation**2 < FLAT:
                which = {"image": "restored", "template": "sharp"}[name]
                raise AlignmentError(f"the {which} image is constant where the images overlap")
            means.append(np.float32(mean))
            energies.append(math.sqrt(count * deviation * deviation) ** 2)
        return means, energies

    def _projections(self) -> tuple[Planes, Plane, Plane]:
        """Return the Hessian (8, 8), and the projections (8,) of image and template onto the derivatives."""
        total = np.zeros((8, 10))
        for band in self.bands:
            stack, products = self.work[:, :, : band.parts.shape[1]]
            band.derivatives(stack)
            stack[8:] = band.parts[3:]
            for row in range(8):
                one = stack[row].astype(np.float64)
                total[row, row] += np.einsum("i,i", one, one)  # not by BLAS, whose threads cost more than the sum
                total[row, row + 1 :] += band.order.dots(stack[row], stack[row + 1 :], products[row + 1 :])
        rounded = total.astype(np.float32)
        upper = np.triu(rounded[:, :8])
        return upper + np.triu(upper, 1).T, rounded[:, 8], rounded[:, 9]

    def _errors(self, gain: float) -> Plane:
        """Project what remains of the template times a gain when the image is subtracted: (8,)."""
        total = np.zeros(8)
        for band in self.bands:
            stack = self.work[0, :8, : band.parts.shape[1]]
            band.derivatives(stack)
            error = (gain * band.parts[4].astype(np.float64) - band.parts[3]).astype(np.float32)
            total += band.order.dots(error, stack, stack)
        return total.astype(np.float32)


def _times(matrix: Planes, vector: Plane) -> Plane:
    return (matrix.astype(np.float64) @ vector.astype(np.float64)).astype(np.float32)
