"""Pairs from videos, frames and photographs: what is averaged, where it goes, and what interrupts or damages it."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from deblur_lit.cli import main
from deblur_lit.config import build
from deblur_lit.data import pair_maker
from deblur_lit.data.images import RGB, read_rgb, write_png
from deblur_lit.data.mini import read_scene
from deblur_lit.data.named import data_config
from deblur_lit.data.synthesis import GAMMA, expose

FRAMES = 30


def moving(scene: str = "boats", frames: int = FRAMES) -> list[RGB]:
    picture = read_scene(scene)[0]
    return [np.ascontiguousarray(picture[20:84, shift : shift + 96]) for shift in range(frames)]


def write_video(path: Path, frames: Sequence[RGB], codec: str = "ffv1", pixels: str = "bgr0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=240)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_frames(folder: Path, frames: Sequence[RGB]) -> Path:
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        write_png(folder / f"f{index}.png", frame)  # f10 follows f9 and not f1
    return folder


def synthesize(*words: object) -> int:
    return main(["data", "synthesize", *map(str, words)])


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "manifest.yaml").read_text())
    return content


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_lossless_video_is_averaged_as_encoded_and_the_middle_frame_is_sharp(tmp_path: Path) -> None:
    frames = moving()
    video = write_video(tmp_path / "clip.mkv", frames)
    assert synthesize("video", video, "--to", tmp_path / "out", "--average", 5, "--split", "train") == 0
    made = manifest(tmp_path / "out")
    assert made["pairs"] == {"train": {"clip": [[first, 5] for first in range(0, 30, 5)]}}
    assert made["sources"]["clip"]["frames"] == FRAMES
    for number, (first, length) in enumerate(made["pairs"]["train"]["clip"], start=1):
        folder = tmp_path / "out/train/clip"
        mean = np.mean(frames[first : first + length], axis=0)
        assert np.abs(read_rgb(folder / f"blur/{number:06d}.png") - mean).max() <= 0.5
        assert np.array_equal(read_rgb(folder / f"sharp/{number:06d}.png"), frames[first + length // 2])


def test_frames_of_a_folder_give_what_the_video_of_them_gives(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mkv", moving())
    write_frames(tmp_path / "clip", moving())
    for kind, source in (("video", "clip.mkv"), ("frames", "clip")):
        assert synthesize(kind, tmp_path / source, "--to", tmp_path / kind, "--average", 3, 7) == 0
    assert files(tmp_path / "video") == files(tmp_path / "frames")
    assert len(files(tmp_path / "video")) >= 8


def test_a_common_video_codec_is_read(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", moving(), "libx264", "yuv420p")
    assert synthesize("video", video, "--to", tmp_path / "out", "--average", 3) == 0
    assert np.abs(read_rgb(tmp_path / "out/train/clip-train/sharp/000001.png").astype(int) - moving()[1]).mean() < 12


def test_a_video_taken_with_a_turned_camera_is_upright(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264rgb", rate=240, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "rgb24"
        stream.set_display_rotation(90)  # counterclockwise
        for frame in moving():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    words = ["--average", 3, "--split", "train"]
    assert synthesize("video", tmp_path / "clip.mp4", "--to", tmp_path / "out", *words) == 0
    upright = read_rgb(tmp_path / "out/train/clip/sharp/000001.png")
    assert np.array_equal(upright, np.rot90(moving()[1]))


def test_lengths_are_drawn_between_the_two_and_frames_are_used_once(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", moving(frames=60))
    assert synthesize("frames", tmp_path / "clip", "--to", tmp_path / "out", "--average", 3, 7, "--split", "test") == 0
    exposures = manifest(tmp_path / "out")["pairs"]["test"]["clip"]
    assert {length for _, length in exposures} == {3, 5, 7}
    assert all(first + length == following for (first, length), (following, _) in pairwise(exposures))


def test_no_frame_is_in_two_splits_of_one_video(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", moving(frames=80))
    words = ["--average", 7, "--stride", 2, "--val-share", 0.2, "--test-share", 0.2]
    assert synthesize("frames", tmp_path / "clip", "--to", tmp_path / "out", *words) == 0
    pairs = manifest(tmp_path / "out")["pairs"]
    used = {split: {first + k for first, n in pairs[split][f"clip-{split}"] for k in range(n)} for split in pairs}
    assert list(used) == ["train", "val", "test"]
    assert not used["train"] & used["val"]
    assert not used["val"] & used["test"]
    assert main(["data", "check", "folder", "--root", str(tmp_path / "out")]) == 0


def test_whole_sequences_are_divided_and_training_reads_them(tmp_path: Path) -> None:
    for scene in ("boats", "moss", "peaks", "fig"):
        write_frames(tmp_path / "clips" / scene, moving(scene, 9))
    assert synthesize("frames", tmp_path / "clips", "--to", tmp_path / "out", "--average", 3, "--jpeg", 90) == 0
    data = data_config("folder", tmp_path / "out")
    read = {split: build(data.pairs)(tmp_path / "out", split) for split in ("train", "val", "test")}
    assert {split: {*pairs.sequences} for split, pairs in read.items()} == {
        "train": {"boats", "fig"},
        "val": {"moss"},
        "test": {"peaks"},
    }
    assert read["train"].pairs[0].blur.suffix == ".jpg"
    assert read["train"].read(0)[0].shape == (64, 96, 3)
    assert build(data_config("gopro", tmp_path / "out").pairs)(tmp_path / "out", "train").names == read["train"].names


def test_noise_is_on_the_blurred_side_alone(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", moving())
    for name, noise in (("clean", 0), ("noisy", 4)):
        words = ["--average", 3, "--noise", noise, "--split", "train"]
        assert synthesize("frames", tmp_path / "clip", "--to", tmp_path / name, *words) == 0
    clean, noisy = ({k: v for k, v in files(tmp_path / name).items() if "sharp" in k} for name in ("clean", "noisy"))
    assert clean == noisy
    path = "train/clip/blur/000001.png"
    difference = read_rgb(tmp_path / "noisy" / path).astype(float) - read_rgb(tmp_path / "clean" / path)
    assert difference.std() == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("separator", ["\n", ", "])
def test_a_curve_of_the_power_law_is_the_gamma_response(separator: str, tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", moving())
    curve = tmp_path / "curve.txt"
    curve.write_text(separator.join(str((level / 255) ** GAMMA) for level in range(256)))
    for response in ("gamma", curve, "identity"):
        words = ["--response", response, "--average", 9, "--split", "train"]
        assert synthesize("frames", tmp_path / "clip", "--to", tmp_path / Path(response).stem, *words) == 0
    path = "train/clip/blur/000001.png"
    gamma, curved, encoded = (read_rgb(tmp_path / name / path).astype(int) for name in ("gamma", "curve", "identity"))
    assert np.abs(gamma - curved).max() <= 1
    assert (gamma - encoded).mean() > 0.2
    assert manifest(tmp_path / "curve")["recipe"]["response"] == "curve.txt"
    assert len(manifest(tmp_path / "curve")["recipe"]["curve"]) == 256


def test_a_curve_gives_back_what_does_not_move() -> None:
    curve = torch.linspace(0, 1, 256, dtype=torch.float64) ** 3 + torch.linspace(0, 0.1, 256, dtype=torch.float64)
    levels = torch.arange(256.0).reshape(1, 1, 16, 16).repeat(5, 1, 1, 1)
    torch.testing.assert_close(expose(levels, curve), levels[0].double(), atol=1e-6, rtol=0)


def photographs(folder: Path) -> Path:
    folder.mkdir()
    for scene in ("boats", "moss", "peaks"):
        write_png(folder / f"{scene}.png", np.ascontiguousarray(read_scene(scene)[0][:120, :140]))
    return folder


def test_photographs_become_pairs_the_same_for_any_number_of_threads(tmp_path: Path) -> None:
    source = photographs(tmp_path / "photos")
    for jobs in (1, 3):
        words = ["--per-photo", 2, "--speed", 1.0, 1.2, "--jobs", jobs, "--average", 5]
        assert synthesize("photos", source, "--to", tmp_path / f"out{jobs}", *words) == 0
    made = files(tmp_path / "out1")
    assert made == files(tmp_path / "out3")
    assert len(made) == 12
    assert manifest(tmp_path / "out1")["recipe"]["camera"]["speed"] == [1.0, 1.2]
    blur, sharp = (read_rgb(tmp_path / "out1/train/boats" / side / "000001.png") for side in ("blur", "sharp"))
    assert np.array_equal(sharp, read_rgb(source / "boats.png")[22:-22, 22:-22])
    assert not np.array_equal(blur, sharp)
    assert synthesize("photos", source, "--to", tmp_path / "other", "--per-photo", 2, "--seed", 1) == 0
    assert made != files(tmp_path / "other")


def test_what_an_interrupted_call_made_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path / "clip", moving())
    words = ["frames", tmp_path / "clip", "--to", tmp_path / "out", "--average", 3, "--jobs", 1]
    write, calls = pair_maker.write_png, []

    def interrupt(path: Path, image: RGB) -> None:
        calls.append(path)
        if len(calls) == 8:  # between the two sides of the fourth pair
            raise KeyboardInterrupt
        write(path, image)

    monkeypatch.setattr(pair_maker, "write_png", interrupt)
    with pytest.raises(KeyboardInterrupt):
        synthesize(*words)
    assert not (tmp_path / "out/manifest.yaml").exists()
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.png")}
    assert len(made) >= 7
    monkeypatch.undo()
    assert synthesize(*words) == 0
    whole = [path for path in made if all(path.parent.with_name(s) / path.name in made for s in ("blur", "sharp"))]
    assert len(whole) >= 6
    assert all(path.stat().st_mtime_ns == made[path] for path in whole)
    assert synthesize(*words[:2], "--to", tmp_path / "again", *words[4:]) == 0
    assert files(tmp_path / "out") == files(tmp_path / "again")


def test_a_folder_of_other_settings_or_other_files_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frames(tmp_path / "clip", moving())
    words = ["frames", tmp_path / "clip", "--to", tmp_path / "out", "--average", 3]
    assert synthesize(*words) == 0
    before = files(tmp_path / "out")
    assert synthesize(*words, "--noise", 2) == 1
    assert "was begun with other settings (noise): choose another --to" in capsys.readouterr().err
    write_png(tmp_path / "clip/f3.png", moving()[4])
    assert synthesize(*words) == 1
    assert "other settings (sources)" in capsys.readouterr().err
    assert files(tmp_path / "out") == before
    assert synthesize(*words[:2], "--to", tmp_path / "clip") == 1
    assert "holds other files" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_a_cut_off_video_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [np.random.default_rng(i).integers(0, 256, (64, 96, 3), dtype=np.uint8) for i in range(FRAMES)]
    codec = ("ffv1", "bgr0") if name.endswith("mkv") else ("libx264", "yuv420p")
    video = write_video(tmp_path / name, frames, *codec)
    os.truncate(video, video.stat().st_size // 2)
    assert synthesize("video", video, "--to", tmp_path / "out", "--average", 3) == 1
    message = capsys.readouterr().err
    assert name in message
    assert "cut off" in message or "damaged" in message


def test_a_damaged_frame_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_frames(tmp_path / "clip", moving())
    os.truncate(folder / "f4.png", 900)
    assert synthesize("frames", folder, "--to", tmp_path / "out", "--average", 3) == 1
    assert "f4.png: truncated or damaged image" in capsys.readouterr().err
    write_png(folder / "f4.png", moving()[0][:-2])
    assert synthesize("frames", folder, "--to", tmp_path / "new", "--average", 3) == 1
    assert "clip: frame 4 is 96x62, those before it 96x64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frames", "clip", "--average", "4"], "one odd number or two"),
        (["frames", "clip", "--average", "7", "3"], "one odd number or two"),
        (["frames", "clip", "--stride", "0"], "--stride 0"),
        (["photos", "clip", "--stride", "2"], "not with photos"),
        (["frames", "clip", "--jpeg", "101"], "--jpeg from 1 to 100"),
        (["frames", "clip", "--speed", "1", "2"], "--speed: the camera moves by itself"),
        (["frames", "clip", "--response", "log"], "--response log: neither identity nor gamma nor a file"),
        (["frames", "clip", "--response", "few.txt"], "few.txt: a response curve has 256 increasing values"),
        (["frames", "clip", "--average", "31"], "too few frames for one exposure of 31"),
        (["frames", "clip", "--average", "15"], "give at least 3"),
        (["frames", "clip", "--average", "7", "--stride", "1"], "no exposure is left for val"),
        (["frames", "absent"], "absent: there is no such file"),
        (["frames", "empty"], "empty holds no images"),
        (["frames", "clip", "deep/clip"], "clip: two sources of one name"),
        (["photos", "one"], "a photograph belongs to one split"),
        (["video", "clip"], "clip is a folder"),
        (["video", "few.txt"], "few.txt: no video"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_frames(Path("clip"), moving())
    write_frames(Path("deep/clip"), moving(frames=9))
    write_frames(Path("one"), moving(frames=1))
    Path("empty").mkdir()
    Path("few.txt").write_text("1 2 3")
    assert main(["data", "synthesize", *words, "--to", "out"]) == 1
    (message,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert said in message


def test_the_contact_sheet_shows_pairs_of_any_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for scene in ("boats", "moss", "peaks"):
        write_frames(tmp_path / "clips" / scene, moving(scene, 3 if scene == "moss" else 6))
    assert synthesize("frames", tmp_path / "clips", "--to", tmp_path / "out", "--average", 3) == 0
    path = tmp_path / "deep/sheet.png"
    words = ["data", "show", "folder", "--root", str(tmp_path / "out"), "--to", str(path)]
    assert main([*words, "--pairs", "9", "--crop", "32"]) == 0
    assert "2 of 2 pairs of own data train" in capsys.readouterr().out
    with Image.open(path) as sheet:
        assert sheet.height == 2 * 200
        pixels = np.asarray(sheet)
    assert (pixels == (255, 255, 0)).all(axis=2).any()  # the frame around the crop
    assert main([*words, "--pairs", "0"]) == 1
    assert "--pairs 0" in capsys.readouterr().err
