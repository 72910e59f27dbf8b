"""What pages that need nothing but themselves are made of: style, a slider between two pictures, embedded data."""

import base64
import io
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

# A browser then refuses every request: what a page shows is in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def part(name: str, package: str = "deblur_lit.web") -> str:
    """Return a file that lies beside the code, such as `slider.js`.

    Example:
        >>> part("slider.js").splitlines()[0]
        '"use strict";'
    """
    return files(package).joinpath(name).read_text(encoding="utf-8")


def script_data(data: Any) -> str:
    r"""Return data as JSON that no value can end the script element of.

    Raises:
        ValueError: if a number is infinite or NaN, which JSON lacks.

    Example:
        >>> script_data({"title": "</script>"})
        '{"title": "\\u003c/script>"}'
    """
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def picture(image: "Image", quality: int | None = None) -> str:
    """Return a picture as WebP in a data URI.

    Args:
        image: RGB.
        quality: 0 to 100; None keeps every pixel.
    """
    file = io.BytesIO()
    if quality is None:
        image.save(file, "WEBP", lossless=True, method=2, quality=50)  # slower ones save 1 % more
    else:
        image.save(file, "WEBP", method=2, quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
