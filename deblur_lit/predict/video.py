"""A video, frame by frame: sound, times, rotation and descriptions stay; no frame knows of its neighbours."""

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from queue import Full, Queue
from typing import Any

from deblur_lit.data.videos import count_frames, import_av
from deblur_lit.predict.photo import PhotoError, Pixels, check_size
from deblur_lit.predict.system import beside

AHEAD = 8  # frames and packets that are read ahead of the network
_MOST_WAIT = 0.1  # s, until a thread looks whether it is still wanted
_UNNAMED = (0, 2)  # colour matrices that say nothing
_ITU601 = 5  # which is then taken, there and back
_HDR = {16: "PQ", 18: "HLG"}  # transfer curves
_VP9 = ("libvpx-vp9", {"crf": "8", "b": "0", "cpu-used": "4", "row-mt": "1"})
_H264 = ("libx264", {"crf": "10", "preset": "medium"})
_MPEG4 = ("mpeg4", {"qmin": "1", "qmax": "2"})  # AVI has no times, which H.264 needs
_CODECS = {".webm": _VP9, ".avi": _MPEG4}
_OPTIONS = {suffix: {"movflags": "use_metadata_tags+faststart"} for suffix in (".mp4", ".m4v", ".mov")}
_CONTAINERS_OWN = ("encoder", "major_brand", "minor_version", "compatible_brands")


def restore_video(
    source: Path,
    target: Path,
    restore: Callable[[Pixels], Pixels],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, ...]:
    """Restore a video; the result appears whole or not at all. A thread decodes at most `AHEAD` frames ahead.

    Args:
        source: any container that FFmpeg reads.
        target: its suffix names the container.
        restore: takes and returns (H, W, 3) uint8, or uint16 where the video has more than 8 bit.
        progress: is told frames done and frames in all.

    Returns:
        Notes on what is not as it was.

    Raises:
        ValueError: if PyAV is not installed, or the video is damaged, HDR or interlaced.
        OSError: if it cannot be written.
    """
    av = import_av()
    total, done = count_frames(source), 0
    try:
        first = _first_frame(av, source)
        options = _OPTIONS.get(target.suffix.lower(), {})
        with beside(target) as part, av.open(str(source)) as given, av.open(str(part), "w", options=options) as out:
            _describe(given, out)
            video = _add_video(out, given.streams.video[0], first, target.suffix.lower())
            copied, notes = _add_copies(given, out)
            step, last = _ticks(given.streams.video[0]), None
            with closing(_ahead(given, list(copied))) as items:
                for item in items:
                    if isinstance(item, av.VideoFrame):
                        if item.pts is None or (last is not None and item.pts <= last):  # AVI with frames out of order
                            item.pts = 0 if last is None else last + step
                        last = item.pts
                        out.mux(video.encode(_restored(av, item, restore, video)))
                        done += 1
                        if progress:
                            progress(done, max(done, total))
                    else:
                        item.stream = copied[item.stream.index]
                        out.mux(item)
            out.mux(video.encode(None))
    except av.FFmpegError as error:
        said = f"damaged video, or one that cannot be written as {target.suffix}"
        raise PhotoError(f"{said} ({error.strerror or error})") from error
    return tuple(notes)


def _first_frame(av: Any, source: Path) -> Any:
    """Return the first frame, and refuse what is not restored."""
    with av.open(str(source)) as container:
        frame = next(container.decode(video=0), None)
        if frame is None:
            raise PhotoError("a video without a frame that can be decoded; copy or record it again")
    check_size(frame.width, frame.height)
    if frame.color_trc in _HDR:
        raise PhotoError(f"an HDR video ({_HDR[frame.color_trc]}); tone-map it first")
    if frame.interlaced_frame:
        raise PhotoError("an interlaced video; deinterlace it first")
    return frame


def _describe(given: Any, out: Any) -> None:
    """Take over titles, places, dates and chapters."""
    out.metadata.update({name: text for name, text in given.metadata.items() if name not in _CONTAINERS_OWN})
    if chapters := given.chapters():
        out.set_chapters(chapters)


def _add_video(out: Any, stream: Any, first: Any, suffix: str) -> Any:
    """Add the stream of restored frames: times, shape of pixels, colours and rotation of the given one."""
    codec, options = _CODECS.get(suffix, _H264)
    video = out.add_stream(codec, rate=stream.average_rate or stream.guessed_rate or 25, options=options)
    video.width, video.height = first.width, first.height
    video.pix_fmt = _pixel_format(video.codec_context.codec, first)
    context = video.codec_context
    context.time_base = stream.time_base
    context.color_range, context.colorspace = first.color_range, first.colorspace
    context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    matrices = [bytes(data) for data in first.side_data if data.type.name == "DISPLAYMATRIX"]
    if matrices:
        video.set_display_matrix(memoryview(matrices[0]).cast("i").tolist())
    video.metadata.update(stream.metadata)
    return video


def _pixel_format(codec: Any, frame: Any) -> str:
    """Return the encoder's format with the depth and the colour resolution of a frame."""
    known = {form.name for form in codec.video_formats}
    deep = "10le" if _is_deep(frame) else ""
    own = frame.format.name.replace("yuvj", "yuv").replace("yuva", "yuv").removesuffix("12le").removesuffix("10le")
    odd = frame.width % 2 or frame.height % 2
    wanted = "yuv444p" if odd and codec.name == "libx264" else own  # H.264 halves even sides only
    return wanted + deep if wanted + deep in known else "yuv444p" + deep


def _ticks(stream: Any) -> int:
    """Return how long a frame lasts, in units of the stream's times."""
    return max(1, round(1 / (stream.average_rate or stream.guessed_rate or 25) / stream.time_base))


def _is_deep(frame: Any) -> bool:
    return max(component.bits for component in frame.format.components) > 8


def _add_copies(given: Any, out: Any) -> tuple[dict[int, Any], list[str]]:
    """Add streams that are copied, by the number of the given one, and say which are not."""
    copied: dict[int, Any] = {}
    left = []
    for stream in given.streams:
        if stream.type in ("audio", "subtitle"):
            copied[stream.index] = out.add_stream_from_template(stream)
            copied[stream.index].metadata.update(stream.metadata)
        elif stream is not given.streams.video[0]:
            left.append(stream.type)
    return copied, [f"its streams of {' and '.join(sorted(set(left)))} are left out"] if left else []


def _restored(av: Any, frame: Any, restore: Callable[[Pixels], Pixels], video: Any) -> Any:
    """Return a frame of the same time and colours with restored pixels."""
    if (frame.width, frame.height) != (video.width, video.height):
        raise PhotoError(f"a frame of {frame.width}x{frame.height} in a video of {video.width}x{video.height}; cut it")
    matrix = _ITU601 if frame.colorspace in _UNNAMED else frame.colorspace
    rgb = "rgb48le" if _is_deep(frame) else "rgb24"
    pixels = restore(frame.reformat(format=rgb, src_colorspace=matrix).to_ndarray())
    made = av.VideoFrame.from_ndarray(pixels, format=rgb)
    made = made.reformat(format=video.pix_fmt, dst_colorspace=matrix, dst_color_range=frame.color_range or None)
    made.pts, made.time_base = frame.pts, frame.time_base
    return made


def _ahead(container: Any, copied: list[int]) -> Generator[Any, None, None]:
    """Give frames and packets in the order of the file, read by a thread through a queue that is bounded."""
    queue: Queue[Any] = Queue(AHEAD)
    unwanted = threading.Event()
    thread = threading.Thread(target=_read, args=(container, copied, queue, unwanted), daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        unwanted.set()
        thread.join()


def _read(container: Any, copied: list[int], queue: "Queue[Any]", unwanted: threading.Event) -> None:
    def give(item: Any) -> None:
        while not unwanted.is_set():
            try:
                return queue.put(item, timeout=_MOST_WAIT)
            except Full:
                continue

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    try:
        for packet in container.demux(stream, *(container.streams[index] for index in copied)):
            if unwanted.is_set():
                return
            if packet.stream.index != stream.index:
                if packet.dts is not None:
                    give(packet)
                continue
            for frame in packet.decode():
                give(frame)
        give(None)
    except BaseException as error:  # raised where the frames are wanted
        give(error)
