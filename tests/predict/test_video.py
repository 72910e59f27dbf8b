"""Videos keep sound, times, rotation, colours and descriptions, and are read a bounded number of frames ahead."""

import hashlib
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from deblur_lit.predict import video
from deblur_lit.predict.photo import PhotoError
from deblur_lit.predict.video import restore_video

av = pytest.importorskip("av")

FRAMES, TICK = 10, Fraction(1, 12800)


class Seen(NamedTuple):
    """What a video shows, and what it holds beside."""

    times: list[Fraction]
    frames: NDArray[Any]  # (N, H, W, 3)
    kind: tuple[Any, ...]  # rotation, format, colours
    sound: list[tuple[float, str]]  # times and hashes of packets
    text: dict[str, str]


def write(path: Path, codec: str = "libx264", **options: Any) -> Path:
    """Write a short video that moves, with sound."""
    settings = {"pix_fmt": "yuv420p", "even": True, "sound": True, "rotation": 0, "colorspace": 2, "size": (96, 64)}
    settings |= options
    width, height = settings["size"]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, settings["pix_fmt"]
        stream.codec_context.time_base = Fraction(1, 25) if path.suffix == ".avi" else TICK
        stream.codec_context.colorspace = settings["colorspace"]
        stream.codec_context.color_trc = settings.get("trc", 2)
        if settings["rotation"]:
            stream.set_display_rotation(settings["rotation"])
        out.metadata["title"] = "a lake"
        sound = (
            out.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000) if settings["sound"] else None
        )
        rows, columns = np.mgrid[:height, :width]
        time = 0
        for number in range(FRAMES):
            ramp = (rows * 2 + columns + number * 3) % 200
            image = np.stack([ramp, 220 - ramp, (ramp + 40) % 256], -1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, TICK
            time += 512 if settings["even"] else 512 * (1 + number % 3)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        for number in range(8 if sound else 0):
            noise = np.random.default_rng(number).normal(0, 0.1, (2, 1024)).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            samples.sample_rate, samples.pts = 48000, number * 1024
            out.mux(sound.encode(samples))
        out.mux(sound.encode() if sound else [])
    return path


def see(path: Path) -> Seen:
    with av.open(str(path)) as file:
        text = {key.lower(): value for key, value in file.metadata.items()}
        frames = list(file.decode(video=0))
    with av.open(str(path)) as file:
        packets = list(file.demux(audio=0)) if file.streams.audio else []
    sound = [(float(p.pts * p.time_base), hashlib.sha256(bytes(p)).hexdigest()) for p in packets if p.dts is not None]
    first = frames[0]
    kind = (first.rotation, first.format.name, first.colorspace, first.color_trc)
    return Seen(
        [frame.pts * frame.time_base for frame in frames],
        np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), kind, sound, text,
    )  # fmt: skip


def same(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.copy()


KINDS: dict[str, dict[str, Any]] = {
    "turned.mp4": {"rotation": 90},
    "uneven.mov": {"even": False},
    "uneven.mkv": {"even": False},
    "bt709.mp4": {"colorspace": 1},
    "full_colour.mkv": {"pix_fmt": "yuv444p"},
    "deep.mp4": {"pix_fmt": "yuv420p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "silent.avi": {"codec": "mpeg4", "sound": False},
    "odd.mkv": {"pix_fmt": "yuv444p", "size": (97, 63)},
}


@pytest.mark.parametrize("name", KINDS)
def test_behind_an_identity_a_video_is_what_it_was(name: str, tmp_path: Path) -> None:
    source = write(tmp_path / name, **KINDS[name])
    told: list[tuple[int, int]] = []
    notes = restore_video(source, tmp_path / f"out_{name}", same, lambda done, of: told.append((done, of)))
    before, after = see(source), see(tmp_path / f"out_{name}")
    assert before.times == after.times
    assert before.kind == after.kind
    assert before.sound == after.sound
    assert bool(before.sound) == KINDS[name].get("sound", True)
    assert name.endswith(".avi") or after.text["title"] == "a lake"
    assert 10 * np.log10(255**2 / np.mean((before.frames.astype(float) - after.frames) ** 2)) > 35
    assert told == [(number + 1, FRAMES) for number in range(FRAMES)]
    assert notes == ()


def test_deep_videos_are_restored_in_16_bit(tmp_path: Path) -> None:
    types = []
    restore_video(
        write(tmp_path / "a.mkv", pix_fmt="yuv422p10le"), tmp_path / "b.mkv",
        lambda pixels: types.append(pixels.dtype) or pixels,
    )  # fmt: skip
    assert set(types) == {np.dtype(np.uint16)}
    assert see(tmp_path / "b.mkv").kind[1] == "yuv422p10le"


def test_what_the_network_makes_is_what_is_shown(tmp_path: Path) -> None:
    restore_video(write(tmp_path / "a.mp4"), tmp_path / "b.mp4", lambda pixels: 255 - pixels)
    before, after = see(tmp_path / "a.mp4").frames, see(tmp_path / "b.mp4").frames
    assert 10 * np.log10(255**2 / np.mean((255.0 - before - after) ** 2)) > 30


def test_no_more_than_a_few_frames_are_decoded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "AHEAD", 2)
    with av.open(str(write(tmp_path / "a.mkv", sound=False))) as file:
        items = video._ahead(file, [])
        next(items)
        time.sleep(0.2)
        assert sum(thread.name.startswith("Thread") and thread.is_alive() for thread in threading.enumerate()) == 1
        items.close()  # as after an error: the thread that waits for room ends
        assert not any(thread.name.endswith("(_read)") for thread in threading.enumerate())


def cut(tmp_path: Path) -> Path:
    whole = write(tmp_path / "whole.mkv", sound=False, size=(320, 240))
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return path


def text(tmp_path: Path) -> Path:
    (tmp_path / "text.mp4").write_text("no video", encoding="utf-8")
    return tmp_path / "text.mp4"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (cut, "cut off|damaged"),
        (text, "no video, or damaged"),
        (lambda folder: write(folder / "hdr.mp4", pix_fmt="yuv420p10le", trc=16), "an HDR video"),
    ],
    ids=["cut", "text", "hdr"],
)
def test_what_is_no_sound_video_is_refused_and_leaves_nothing(make: Any, said: str, tmp_path: Path) -> None:
    source = make(tmp_path)
    there = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=said):
        restore_video(source, tmp_path / "out.mkv", same)
    assert set(tmp_path.iterdir()) == there


def test_a_network_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(pixels: NDArray[Any]) -> NDArray[Any]:
        raise PhotoError("stop")

    source = write(tmp_path / "a.mp4")
    with pytest.raises(PhotoError, match="stop"):
        restore_video(source, tmp_path / "b.mp4", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert not any(thread.name.endswith("(_read)") for thread in threading.enumerate())
