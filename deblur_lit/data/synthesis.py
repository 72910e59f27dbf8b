"""A virtual high-speed camera: a blurred and a sharp image from one photograph, the way GoPro was made."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from deblur_lit.data.images import RGB
from deblur_lit.data.response import GAMMA

ResponseName = Literal["identity", "gamma"]
Response = ResponseName | Tensor  # or a curve: light of each level from 0 to 255, (256,), increasing

RESPONSES = ("identity", "gamma")
_SLACK = 3  # pixels of the margin that bicubic sampling (2) and second-order terms of the motion (1) may touch


@dataclass(frozen=True)
class Camera:
    """Ranges from which the motion during one exposure is drawn; lengths are pixels of the photograph.

    Args:
        frames: (fewest, most) frames in one exposure, both odd, so that one frame is in the middle.
        speed: (least, most) mean translation from one frame to the next, in pixels.
        rotation: largest turn away from the middle frame, in degrees.
        zoom: largest relative change of scale against the middle frame; 0.01 is 1 %.
        foreground_speed: as `speed`, for an object that moves by itself in front of the scene.
        margin: pixels cut from each side of the photograph. No frame looks beyond them: a motion that would
            is made smaller as a whole.

    Raises:
        ValueError: if a range is empty or negative, a number of frames is even, or the margin is too narrow.
    """

    frames: tuple[int, int] = (7, 13)
    speed: tuple[float, float] = (0.5, 1.3)
    rotation: float = 0.6
    zoom: float = 0.006
    foreground_speed: tuple[float, float] = (0.5, 1.3)
    margin: int = 22

    def __post_init__(self) -> None:
        for name in ("frames", "speed", "foreground_speed"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name}={[least, most]} must be (least, most) with 0 <= least <= most")
        if self.frames[0] < 1 or self.frames[0] % 2 == 0 or self.frames[1] % 2 == 0:
            raise ValueError(f"frames={list(self.frames)}: both must be odd, the sharp image is the middle frame")
        if self.rotation < 0 or self.zoom < 0:
            raise ValueError(f"rotation={self.rotation} and zoom={self.zoom} are largest sizes, not below 0")
        if self.margin <= _SLACK:
            raise ValueError(f"margin={self.margin} must exceed {_SLACK} pixels, which the interpolation needs")


def synthesize(
    photograph: RGB,
    generator: torch.Generator,
    camera: Camera | None = None,
    response: Response = "identity",
    foreground: RGB | None = None,
) -> tuple[RGB, RGB]:
    r"""Return the blurred and the sharp image of one exposure along a random camera path.

    The camera takes M frames :math:`F_i`, each stored with 8 bits, and averages them:

    .. math:: B = g\Bigl(\frac{1}{M} \sum_{i=1}^{M} g^{-1}(F_i)\Bigr), \quad S = F_{(M+1)/2}

    with g the identity (GoPro's `blur`) or :math:`g(x) = x^{1/2.2}` (its `blur_gamma`). In the middle of the
    exposure the camera is where the photographer stood, so that S is a cut of the photograph, untouched by
    interpolation, and blur and sharp are aligned.

    Args:
        photograph: (H, W, 3) uint8, sharp at pixel level.
        generator: on the CPU; the only source of randomness.
        camera: ranges of the motion; `Camera()` by default.
        response: `identity` averages encoded values, `gamma` and a curve average light.
        foreground: photograph of the same shape; a soft-edged blob of it moves in front, along its own path.

    Returns:
        (blur, sharp), both (H - 2 margin, W - 2 margin, 3) uint8, contiguous.

    Raises:
        ValueError: if an image is no (H, W, 3) uint8 or too small for the margin, if the two differ in
            shape, or if `response` is unknown.

    Source: Nah et al., CVPR 2017, section 2 (average of consecutive frames, middle frame as ground truth).

    Example:
        >>> photograph = np.random.default_rng(0).integers(0, 256, (108, 140, 3), dtype=np.uint8)
        >>> blur, sharp = synthesize(photograph, torch.Generator().manual_seed(0))
        >>> blur.shape, bool((sharp == photograph[22:-22, 22:-22]).all()), bool(blur.std() < sharp.std())
        ((64, 96, 3), True, True)
    """
    camera = camera or Camera()
    _check(photograph, camera.margin, "photograph")
    check_response(response)
    height, width = photograph.shape[:2]
    frames = _draw_odd(camera.frames, generator)
    path = draw_path(frames, camera.speed, camera, (height, width), generator)
    video = render(_to_tensor(photograph), path, camera.margin)
    if foreground is not None:
        _check(foreground, camera.margin, "foreground")
        if foreground.shape != photograph.shape:
            raise ValueError(f"foreground {foreground.shape} and photograph {photograph.shape} differ in shape")
        blob = draw_blob(height, width, generator)
        path = draw_path(frames, camera.foreground_speed, camera, (height, width), generator)
        moving = render(torch.cat([_to_tensor(foreground), blob * 255]), path, camera.margin)
        cover = (moving[:, 3:] / 255).clamp(0, 1)
        video = cover * moving[:, :3] + (1 - cover) * video
    video = video.clamp(0, 255).round()
    return _to_image(expose(video, response)), _to_image(video[frames // 2])


def draw_path(
    frames: int,
    speed: tuple[float, float],
    camera: Camera,
    size: tuple[int, int],
    generator: torch.Generator,
    bend: float = 0.5,
) -> Tensor:
    """Draw a smooth camera path whose middle pose is the identity.

    Each of the four motions is a random cubic without constant term in time, which runs from -1 to 1.

    Args:
        frames: number of poses, odd.
        speed: (least, most) mean translation between poses, in pixels.
        camera: gives rotation, zoom and margin.
        size: (height, width) of the photograph, in pixels.
        generator: source of the draws.
        bend: size of the quadratic and of the cubic term against the linear one; 0 is a straight line at one speed.

    Returns:
        (frames, 4) float32: x and y translation in pixels, turn in degrees, natural logarithm of the scale.

    Example:
        >>> draw_path(7, (1.0, 1.0), Camera(), (108, 140), torch.Generator().manual_seed(0))[3].tolist()
        [0.0, 0.0, 0.0, 0.0]
    """
    middle = frames // 2
    time = (torch.arange(frames) - middle) / max(middle, 1)
    powers = torch.stack([time, time**2, time**3])
    curves = (torch.randn(4, 3, generator=generator) * torch.tensor([1.0, bend, bend])) @ powers  # (4, frames)
    shift, turn, scale = curves[:2], curves[2], curves[3]
    pace = shift.diff(dim=1).norm(dim=0).mean() if frames > 1 else torch.ones(())
    shift = shift * _draw(speed, generator) / pace
    turn = turn * _draw((-camera.rotation, camera.rotation), generator) / turn.abs().max().clamp(min=1e-6)
    scale = scale * _draw((-camera.zoom, camera.zoom), generator) / scale.abs().max().clamp(min=1e-6)
    corner = math.hypot(*(side / 2 - camera.margin for side in size))  # pixels from the centre to a corner
    reach = shift.norm(dim=0) + corner * (turn.deg2rad().abs() + scale.abs())
    fit = (camera.margin - _SLACK) / reach.max().clamp(min=camera.margin - _SLACK)
    return torch.stack([*shift, turn, scale], dim=1) * fit


def render(image: Tensor, path: Tensor, margin: int) -> Tensor:
    """Return what the camera sees of a flat image from each pose of a path.

    Args:
        image: (C, H, W) float32.
        path: (M, 4) from `draw_path`.
        margin: pixels cut from each side after the motion.

    Returns:
        (M, C, H - 2 margin, W - 2 margin) float32, sampled bicubically: may overshoot the range of `image`.
    """
    from kornia.geometry import transform  # 2 s to import, and a finished cache needs none of it

    height, width = image.shape[1:]
    poses = len(path)
    matrix = transform.get_affine_matrix2d(
        translations=path[:, :2] - margin,
        center=torch.tensor([[(width - 1) / 2, (height - 1) / 2]]).expand(poses, 2),
        scale=path[:, 3:].exp().expand(poses, 2),
        angle=path[:, 2],
    )
    return transform.warp_affine(
        image.expand(poses, *image.shape),
        matrix[:, :2],
        dsize=(height - 2 * margin, width - 2 * margin),
        mode="bicubic",
        padding_mode="border",  # never seen: paths stay within the margin
        align_corners=True,
    )


def draw_blob(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw a round shape with a wavy outline and an edge 2 pixels wide.

    Returns:
        (1, H, W) float32 opacity in [0, 1]: 1 inside. Its mean radius is 10 to 22 % of the shorter side.
    """
    centre_y, centre_x = (_draw((0.3, 0.7), generator) * side for side in (height, width))
    radius = _draw((0.1, 0.22), generator) * min(height, width)
    y, x = torch.meshgrid(torch.arange(height) - centre_y, torch.arange(width) - centre_x, indexing="ij")
    waves = torch.arange(1, 6)[:, None, None]
    size = torch.randn(5, generator=generator)[:, None, None] * 0.2 / waves
    phase = torch.rand(5, generator=generator)[:, None, None] * 2 * math.pi
    outline = radius * (1 + (size * torch.sin(waves * torch.atan2(y, x) + phase)).sum(dim=0))
    return ((outline - torch.hypot(x, y)) / 2 + 0.5).clamp(0, 1)[None]


def expose(video: Tensor, response: Response) -> Tensor:
    """Average frames over the exposure.

    Args:
        video: (M, C, H, W) float32 in [0, 255], encoded values.
        response: `identity` averages them as they are, `gamma` in linear light, a curve (256,) in the light that it
            gives for each level; values of `video` are then whole numbers.

    Returns:
        (C, H, W) float32 in [0, 255], encoded values, not rounded.

    Example:
        >>> edge = torch.tensor([0.0, 255.0])[:, None, None, None]
        >>> expose(edge, "identity").item(), round(expose(edge, "gamma").item(), 1)
        (127.5, 186.1)
    """
    if isinstance(response, Tensor):
        light = response[video.long()].mean(dim=0)
        above = torch.searchsorted(response, light).clamp(1, len(response) - 1)
        dark, bright = response[above - 1], response[above]
        return above - 1 + (light - dark) / (bright - dark)
    if response == "identity":
        return video.mean(dim=0)
    return (video / 255).pow(GAMMA).mean(dim=0).pow(1 / GAMMA) * 255


def check_response(response: Response) -> None:
    """Raise a ValueError if `response` is no known name and no curve of 256 increasing values."""
    if isinstance(response, Tensor):
        if response.shape != (256,) or not bool((response.diff() > 0).all()):
            raise ValueError(f"a response curve has 256 increasing values, one per level; this has {len(response)}")
    elif response not in RESPONSES:
        raise ValueError(f"response={response!r} is unknown; there is {' and '.join(RESPONSES)}")


def _draw(bounds: tuple[float, float], generator: torch.Generator) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * torch.rand((), generator=generator).item()


def _draw_odd(bounds: tuple[int, int], generator: torch.Generator) -> int:
    choices = (bounds[1] - bounds[0]) // 2 + 1
    return bounds[0] + 2 * int(torch.randint(choices, (), generator=generator))


def _check(image: RGB, margin: int, what: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{what}: expected a (H, W, 3) uint8 image, got {image.shape} {image.dtype}")
    if min(image.shape[:2]) <= 2 * margin:
        raise ValueError(f"{what} {image.shape[1]}x{image.shape[0]} is smaller than two margins of {margin} pixels")


def _to_tensor(image: RGB) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float()


def _to_image(image: Tensor) -> RGB:
    return np.ascontiguousarray(image.round().byte().permute(1, 2, 0).numpy())
