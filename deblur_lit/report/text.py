"""How numbers, times and hashes are printed."""

import re


def number(value: float | None, digits: int, signed: bool = False) -> str:
    """Return a rounded number, "" for None; what rounds to zero carries no minus.

    Example:
        >>> number(31.949, 2), number(-0.001, 2, signed=True), number(None, 2), number(float("inf"), 2)
        ('31.95', '+0.00', '', 'inf')
    """
    if value is None:
        return ""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return text if text.strip("+-0.") else text.replace("-", "+" if signed else "")


def millions(count: int) -> str:
    """Return a number of parameters in millions.

    Example:
        >>> millions(5_290_000), millions(4_200)
        ('5.29', '0.004')
    """
    return f"{count / 1e6:.{2 if count >= 1e5 else 3}f}"


def billions(count: int | None) -> str:
    """Return a number of multiply-accumulates in billions, "" for None.

    Example:
        >>> billions(47_400_000_000), billions(820_000_000)
        ('47.4', '0.82')
    """
    return "" if count is None else f"{count / 1e9:.{1 if count >= 1e10 else 2}f}"


def duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, whichever leaves at least two digits.

    Example:
        >>> duration(180.1), duration(5400.0), duration(864_000.0)
        ('180 s', '90 min', '240 h')
    """
    if seconds >= 36_000:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.0f} s"


def short_hash(text: str) -> str:
    """Return 12 digits of a sha256, 7 of a commit with what follows it, anything else as it is.

    Example:
        >>> short_hash("0123456789" * 4 + "+dirty"), short_hash("unknown")
        ('0123456+dirty', 'unknown')
    """
    body, plus, rest = text.partition("+")
    if len(body) < 40:
        return text
    return body[: 7 if len(body) == 40 else 12] + plus + rest


def one_line(text: str) -> str:
    r"""Return a text without line breaks and other control characters.

    Example:
        >>> one_line(" looked\n  for it ")
        'looked for it'
    """
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
