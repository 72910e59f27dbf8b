"""Reading videos by PyAV, which is an extra."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deblur_lit.data.faults import DataError

_TOLERATED = 0.05  # of its stated length, by which a video may end early before it counts as cut off


def import_av() -> Any:
    """Return PyAV.

    Raises:
        ValueError: if it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError("videos need PyAV: pip install 'deblur_lit[video]'") from error
    av.logging.set_level(None)  # what matters is raised
    return av


def upright_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Give the frames of a video as they are to be seen, upright, (H, W, 3) uint8.

    Raises:
        DataError: if it is damaged.
        ValueError: if PyAV is not installed.
    """
    av = import_av()
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                image = frame.to_ndarray(format="rgb24")
                yield np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
    except av.FFmpegError as error:
        raise DataError(f"{path}: damaged video ({error.strerror}); copy or record it again", "truncated") from error


def count_frames(path: Path) -> int:
    """Count the frames of a video without decoding them; a video that ends before its stated length is refused.

    Raises:
        DataError: if it has no pictures, is damaged or cut off.
        ValueError: if PyAV is not installed.
    """
    av = import_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} has no pictures", "no image")
            stream = container.streams.video[0]
            ends = [(packet.pts or 0) + (packet.duration or 0) for packet in container.demux(stream) if packet.size > 0]
            stated, begins = container.duration, (stream.start_time or 0) * stream.time_base
            seconds = float(max(ends, default=0) * stream.time_base - begins)
    except av.FFmpegError as error:
        raise DataError(f"{path}: no video, or damaged ({error.strerror})", "no image") from error
    if stated and seconds < (1 - _TOLERATED) * stated / av.time_base:
        length = stated / av.time_base
        raise DataError(f"{path}: cut off, {seconds:.2f} of {length:.2f} s are there; copy it again", "truncated")
    return len(ends)
