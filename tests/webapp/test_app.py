"""The page through its API: results, refusals, and what becomes of files."""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import torch
from app_page import TINY, free_port
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageCms

from deblur_lit.app.command import serving
from deblur_lit.app.restoring import Limits, Options, Restorer
from deblur_lit.app.sessions import KEPT, LONGEST, Sessions, scratch
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.predict.photo import read_photo
from deblur_lit.tensors import Pyramid

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Gradio leaves sockets to the collector
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Gradio 6.31 against pandas 3
]
Make = Callable[..., Path]
Page = tuple[str, Path]
DEFAULTS = Options(TINY, 1.0, "none", "auto", "fp32", False)


@pytest.fixture(scope="module")
def client(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    made = visit(page[0], tmp_path_factory.mktemp("downloads"))
    yield made
    made.close()


def visit(url: str, downloads: Path) -> Client:
    return Client(url, verbose=False, download_files=downloads, analytics_enabled=False)


def deblur(client: Client, path: Path, options: Options = DEFAULTS) -> tuple[Path, Path, Path, str]:
    """Pictures before and after, the download, and what is said."""
    (before, after), download, said = client.predict(handle_file(path), *options, api_name="/deblur")
    return Path(before), Path(after), Path(download), said


def files(page: Page) -> list[str]:
    """Names of the files that the page keeps, without the empty ones of Gradio."""
    return sorted(path.name for path in page[1].glob("deblur-lit-app*/**/*") if path.is_file() and path.stat().st_size)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path))


def test_the_result_is_that_of_the_network_bit_for_bit(client: Client, restorer: Restorer, blurred: Make) -> None:
    path = blurred()
    before, after, download, said = deblur(client, path)
    expected = Deblurrer(restorer.networks[TINY], device="cpu")(pixels(path))
    assert (expected != pixels(path)).any()
    assert np.array_equal(pixels(download), expected)
    assert np.array_equal(pixels(after), expected)
    assert np.array_equal(pixels(before), pixels(path))
    assert re.fullmatch(r"lake\.deblurred\.png, 0\.0 MB \(by tiny; \d+\.\d s; in one piece\)", said)


def test_every_option_reaches_the_network(client: Client, restorer: Restorer, blurred: Make) -> None:
    path = blurred("options.png", 160, 200)
    options = Options(TINY, 0.5, "rot4", "128", "bf16", False)
    _, _, download, said = deblur(client, path, options)
    choice = {"strength": 0.5, "tta": "rot4", "tile": 128, "precision": "bf16"}
    expected = Deblurrer(restorer.networks[TINY], device="cpu", **choice).restore(pixels(path))
    assert np.array_equal(pixels(download), expected.image)
    assert expected.note in said
    assert "4 tiles" in said


def test_strength_zero_changes_nothing(client: Client, blurred: Make) -> None:
    path = blurred("zero.png")
    assert np.array_equal(pixels(deblur(client, path, DEFAULTS._replace(strength=0))[2]), pixels(path))


def test_a_jpeg_becomes_a_png_with_its_metadata(client: Client, blurred: Make) -> None:
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[315] = "Somebody"
    path = blurred("trip.jpg", exif=exif, icc_profile=profile, quality=90, dpi=(300, 300))
    download = deblur(client, path)[2]
    with Image.open(download) as result:
        assert (download.name, result.format) == ("trip.deblurred.png", "PNG")
        assert result.getexif()[315] == "Somebody"
        assert result.info["icc_profile"] == profile
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_stay_and_a_lossless_format_stays(client: Client, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep{suffix}"
    deep = np.kron(np.random.default_rng(1).integers(9000, 50000, (10, 12, 3)), np.ones((4, 4, 1))).astype(np.uint16)
    path.write_bytes(cv2.imencode(suffix, deep)[1].tobytes())
    before, _, download, _ = deblur(client, path)
    photo = read_photo(download)
    assert (download.suffix, photo.pixels.dtype) == (suffix, np.uint16)
    assert (photo.pixels % 257 != 0).any()
    assert np.abs(pixels(before) - deep[..., ::-1] / 257).max() <= 0.5


def test_pictures_are_upright_and_the_download_is_as_the_file(client: Client, blurred: Make) -> None:
    exif = Image.Exif()
    exif[274] = 6
    before, after, download, _ = deblur(client, blurred("upright.jpg", 60, 80, exif=exif))
    assert pixels(before).shape == pixels(after).shape == (80, 60, 3)
    assert pixels(download).shape == (60, 80, 3)
    assert Image.open(download).getexif()[274] == 6


def test_alpha_is_kept_and_shown(client: Client, tmp_path: Path) -> None:
    rgba = np.random.default_rng(2).integers(0, 256, (20, 24, 4), dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "cut.webp", lossless=True, exact=True)
    before, _, download, _ = deblur(client, tmp_path / "cut.webp")
    assert np.array_equal(pixels(before), rgba)
    assert Image.open(download).format == "WEBP"
    assert np.array_equal(pixels(download)[..., 3], rgba[..., 3])


def test_a_damaged_exif_does_not_matter(restorer: Restorer, blurred: Make, tmp_path: Path) -> None:
    path = blurred("odd.jpg", exif=b"Exif\0\0MM\0*" + struct.pack(">IHH", 8, 900, 274))
    made = restorer.restore(path, DEFAULTS, tmp_path, threading.Event(), lambda share, what: None)
    assert pixels(made.before).shape == (60, 80, 3)


def animated(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "damaged.jpg": (lambda path: path.write_bytes(b"\xff\xd8\xff\xe0 half"), "damaged.jpg: truncated or damaged JPEG"),
    "page.png": (lambda path: path.write_text("<html>"), "page.png: no picture that is known"),
    "animated.webp": (animated, "animated.webp: an animated WebP"),
    "old.gif": (lambda path: Image.new("P", (8, 8)).save(path), "old.gif: GIF is not read"),
    "large.png": (lambda path: Image.new("L", (500, 401)).save(path), "500x401 pixels, above the limit of 0.2 million"),
    "print.jpg": (lambda path: Image.new("CMYK", (8, 8)).save(path), "its colours are CMYK"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_restored_is_a_sentence(client: Client, name: str, tmp_path: Path) -> None:
    make, said = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(AppError, match=re.escape(said)) as refused:
        deblur(client, tmp_path / name)
    assert "\n" not in refused.value.message
    assert str(tmp_path) not in refused.value.message


def test_a_file_of_too_many_bytes_is_not_even_taken(client: Client, page: Page, tmp_path: Path) -> None:
    (tmp_path / "heavy.png").write_bytes(bytes(2**20 + 1))
    with pytest.raises((AppError, httpx.HTTPStatusError, ValueError), match=r"413|maximum"):
        deblur(client, tmp_path / "heavy.png")
    assert "heavy.png" not in files(page)


def test_bytes_are_counted_before_a_file_is_read(restorer: Restorer, tmp_path: Path) -> None:
    (tmp_path / "heavy.png").write_bytes(bytes(3 * 2**20 // 2))
    with pytest.raises(ValueError, match=r"1\.5 MB, above the limit of 1 MB"):
        restorer.read(tmp_path / "heavy.png")


def test_the_page_states_its_limits(page: Page) -> None:
    config = httpx.get(f"{page[0]}config").text
    assert "up to 0.2 megapixels and 1 MB" in config


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (DEFAULTS._replace(network="other"), "other"),
        (DEFAULTS._replace(tile="7"), "7"),
        (DEFAULTS._replace(tta="x9"), "x9"),
        (DEFAULTS._replace(precision="fp8"), "fp8"),
        (DEFAULTS._replace(strength=2), "2"),
        (DEFAULTS._replace(tlc=True), "pool"),
    ],
    ids=str,
)
def test_an_impossible_option_is_refused_by_name(client: Client, blurred: Make, options: Options, said: str) -> None:
    with pytest.raises(AppError, match=said):
        deblur(client, blurred(), options)


def test_no_photograph_is_a_sentence(client: Client) -> None:
    with pytest.raises(AppError, match="Drop a photograph first"):
        client.predict(None, *DEFAULTS, api_name="/deblur")


def test_tiles_that_do_not_fit_are_refused_before_they_take_memory(
    restorer: Restorer, blurred: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Restorer(restorer.networks, restorer.limits, "cpu", memory=1)
    with pytest.raises(ValueError, match="tiles of 200 × 160 pixels do not fit into the memory"):
        small.restore(
            blurred("fit.png", 160, 200), DEFAULTS._replace(tile="off"), tmp_path, threading.Event(), lambda *_: None
        )


def test_files_go_when_the_page_is_left_and_those_of_others_stay(page: Page, blurred: Make, tmp_path: Path) -> None:
    one, two = (visit(page[0], tmp_path) for _ in range(2))
    others = files(page)
    shared, mine = blurred("shared.png"), blurred("mine.png")
    deblur(one, shared)
    deblur(two, shared)
    deblur(one, mine)
    assert files(page).count("shared.deblurred.png") == 2
    one.close()
    wait_for(lambda: "mine.png" not in files(page))
    assert files(page) == sorted([*others, "after.png", "before.png", "shared.deblurred.png", "shared.png"])
    two.close()
    wait_for(lambda: files(page) == others)


def test_only_the_last_results_of_a_session_are_kept(client: Client, page: Page, blurred: Make) -> None:
    for _ in range(KEPT + 1):
        deblur(client, blurred("again.png"))
    assert files(page).count("again.deblurred.png") == KEPT


def test_a_session_that_does_nothing_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions, now = Sessions(tmp_path), time.monotonic()
    source = tmp_path / "source.png"
    source.write_bytes(b"x")
    stop, folder = sessions.begin("idle", source), sessions.result_folder("idle")
    monkeypatch.setattr(time, "monotonic", lambda: now + LONGEST - 5)
    sessions.begin("other", tmp_path / "other.png")
    assert (source.exists(), folder.exists(), stop.is_set()) == (True, True, False)
    monkeypatch.setattr(time, "monotonic", lambda: now + LONGEST + 5)
    sessions.begin("other", tmp_path / "other.png")
    assert (source.exists(), folder.exists(), stop.is_set()) == (False, False, True)


def test_the_same_photograph_may_be_dropped_again(tmp_path: Path) -> None:
    sessions, first, second = Sessions(tmp_path), tmp_path / "first.png", tmp_path / "second.png"
    for source in (first, second):
        source.write_bytes(b"x")
        sessions.begin("one", source)
    stop, folder = sessions.begin("one", first), sessions.result_folder("one")
    sessions.end("one", keep=first)
    assert (first.exists(), second.exists(), folder.exists(), stop.is_set()) == (True, False, False, True)


def test_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch() as mine:
        assert mine.stat().st_mode & 0o077 == 0
        gone = mine.with_name(re.sub(r"\.\d+\.", ".999999999.", mine.name))
        gone.mkdir()
        (gone / "photograph.png").write_bytes(b"x")
        with scratch():
            assert (mine.exists(), gone.exists()) == (True, False)
    assert list(tmp_path.iterdir()) == []


class Slow(DeblurNetwork):
    """An identity whose every tile waits for leave."""

    leave = threading.Semaphore(0)
    at_once = most = 0

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def restore(self, blur: torch.Tensor) -> Pyramid:
        Slow.at_once += 1
        Slow.most = max(Slow.most, Slow.at_once)
        looked_at = min(blur.shape[-2:]) <= 4 or not blur.any()  # before there are tiles
        if torch.is_inference_mode_enabled() and not looked_at:
            assert Slow.leave.acquire(timeout=30)
        Slow.at_once -= 1
        return Pyramid(blur * self.scale)


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    with serving(Restorer({TINY: Slow()}, Limits(10**6, 2**20), "cpu"), port=free_port()) as url:
        yield url


def test_requests_wait_for_each_other(slow: str, blurred: Make, tmp_path: Path) -> None:
    clients = [visit(slow, tmp_path) for _ in range(3)]
    path = handle_file(blurred("wide.png", 60, 200))
    jobs = [one.submit(path, *DEFAULTS, api_name="/deblur") for one in clients]
    wait_for(lambda: Slow.at_once == 1)
    wait_for(lambda: sorted(str(job.status().code) for job in jobs).count("Status.IN_QUEUE") == 2)
    Slow.leave.release(3)
    for job in jobs:
        job.result(timeout=30)
    assert Slow.most == 1
    for one in clients:
        one.close()


def test_progress_is_told(slow: str, blurred: Make, tmp_path: Path) -> None:
    client = visit(slow, tmp_path)
    job = client.submit(handle_file(blurred("wide.png", 160, 200)), *DEFAULTS._replace(tile="128"), api_name="/deblur")
    told: list[str] = []
    Slow.leave.release(2)
    wait_for(lambda: bool(told.append(str(job.status().progress_data)) or "restoring: 2 of 4 tiles" in told[-1]))
    Slow.leave.release(2)
    job.result(timeout=30)
    client.close()


def test_work_that_nobody_waits_for_stops(slow: str, blurred: Make, tmp_path: Path) -> None:
    one, two = visit(slow, tmp_path), visit(slow, tmp_path)
    options = DEFAULTS._replace(tile="128")
    one.submit(handle_file(blurred("left.png", 160, 200)), *options, api_name="/deblur")
    wait_for(lambda: Slow.at_once == 1)
    waiting = two.submit(handle_file(blurred("next.png", 20, 20)), *options, api_name="/deblur")
    one.close()
    time.sleep(1)  # several heartbeats
    Slow.leave.release(2)  # of five tiles
    waiting.result(timeout=20)
    two.close()


def test_this_machine_alone_is_listened_to(page: Page) -> None:
    port = httpx.URL(page[0]).port
    assert page[0].startswith("http://127.0.0.1:")
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_no_other_file_is_handed_out(page: Page, weights: Path) -> None:
    for path in (weights / "config.yaml", Path(__file__)):
        assert httpx.get(f"{page[0]}gradio_api/file={path}").status_code in (403, 404)


def test_without_weights_the_page_says_so(blurred: Make, tmp_path: Path) -> None:
    with serving(Restorer({}, Limits(10**6, 2**20), "cpu"), port=free_port()) as url:
        said = "This copy of deblur_lit came without weights"
        assert said in httpx.get(f"{url}config").text
        client = visit(url, tmp_path)
        with pytest.raises(AppError, match=said):
            deblur(client, blurred(), DEFAULTS._replace(network=None))  # type: ignore[arg-type]
        client.close()
