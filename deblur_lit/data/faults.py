"""What can be wrong with data on disk: one error for the loaders that stop at it and the doctor that lists them all."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class DataError(ValueError):
    """Something is wrong with the files of a data set. The message names them and the remedy.

    Args:
        message: what, where, and what to do.
        kind: the name under which `deblur-lit data check` lists it, a key of `KINDS`.
    """

    def __init__(self, message: str, kind: str = "layout") -> None:
        super().__init__(message)
        self.kind = kind


KINDS = {
    "layout": "folders or names are not those of the data set",
    "missing": "files that a list names are not there",
    "partner": "a blurred file without its sharp one, or the reverse",
    "count": "other sequences or frames than the published ones",
    "empty": "a file of 0 bytes",
    "truncated": "a file that is cut off or damaged",
    "no image": "a file that is no image, whatever its suffix",
    "format": "16 bit, grey, palette or alpha",
    "size": "blurred and sharp differ in size, or are not of the published size",
    "constant": "an image of one colour",
    "identical": "blurred and sharp are the same image",
    "swapped": "the blurred side is the sharper one",
    "duplicate": "two frames with one blurred image",
    "leak": "a sequence or an image in two splits",
    "response": "linear for gamma or the reverse, or both mixed",
}

_gathered: ContextVar[list[DataError] | None] = ContextVar("gathered", default=None)


@contextmanager
def gathering() -> Iterator[list[DataError]]:
    """Let `refuse` note faults in the list that this gives, instead of raising them."""
    faults: list[DataError] = []
    token = _gathered.set(faults)
    try:
        yield faults
    finally:
        _gathered.reset(token)


def refuse(fault: DataError) -> None:
    """Raise a fault; inside `gathering` note it and return, for the caller to go on without what it is about."""
    gathered = _gathered.get()
    if gathered is None:
        raise fault
    gathered.append(fault)
