"""The engine: the same image whole or in tiles, any size, any kind, no harm."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deblur_lit import load_network
from deblur_lit.networks.blocks import DeblurNetwork
from deblur_lit.predict import memory
from deblur_lit.predict.deblurrer import Deblurrer
from deblur_lit.predict.guard import REACH
from deblur_lit.predict.torch_backend import TorchBackend
from deblur_lit.tensors import Pyramid

SMALL = ["channels=4", "num_blocks=1"]
VIEWS = {"none": 1, "rot4": 4, "x8": 8}


class Identity(DeblurNetwork):
    """Gives what it gets."""

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(blur)


class Shift(DeblurNetwork):
    """Adds a constant."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(blur + self.by)


class Broken(DeblurNetwork):
    """Gives not-a-number where the image is white, next to what it darkens a little."""

    def restore(self, blur: Tensor) -> Pyramid:
        return Pyramid(torch.where(blur == 1, torch.nan, 0.99 * blur))


class Hungry(DeblurNetwork):
    """Runs out of memory on more than 100 x 100 pixels."""

    def restore(self, blur: Tensor) -> Pyramid:
        if blur.shape[-1] * blur.shape[-2] > 100**2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
        return Pyramid(0.99 * blur)


def picture(height: int, width: int, dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    image = np.random.default_rng(seed).random((height, width, 3))
    return image.astype(dtype) if np.dtype(dtype).kind == "f" else (image * np.iinfo(dtype).max).astype(dtype)


def network(name: str, overrides: list[str] = SMALL) -> DeblurNetwork:
    torch.manual_seed(0)
    return load_network(name, overrides=overrides)


def on_cpu(network: DeblurNetwork, **options: Any) -> Deblurrer:
    return Deblurrer(network, device="cpu", **options)


@pytest.mark.parametrize("tta", VIEWS)
@pytest.mark.parametrize("size", [(61, 83), (64, 100)])
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("aff", ["channels=2", "num_blocks=1"]),
        ("dbgan", ["channels=2", "num_blocks=1", "growth=1"]),
    ],
)
def test_no_seam_in_double_precision(name: str, overrides: list[str], size: tuple[int, int], tta: str) -> None:
    small, image = network(name, overrides).double(), picture(*size, np.float64)
    whole = on_cpu(small, tile="off", tta=tta).restore(image).image
    tiled = on_cpu(small, tile=40, tta=tta).restore(image)
    assert "tiles of" in tiled.note
    assert "all that a pixel depends on" in tiled.note
    assert np.abs(whole - image).max() > 1e-3
    assert np.abs(tiled.image - whole).max() <= 1e-12


@pytest.mark.parametrize("name", ["sdwnet", "dmphn"])  # corners are aligned; the image is quartered
def test_a_network_that_depends_on_the_size_of_the_image_is_not_called_exact(name: str) -> None:
    backend = TorchBackend(network(name, ["channels=2", "num_blocks=1"]), "cpu")
    assert backend.needs.margin is None


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_no_seam_in_single_precision(padding: str) -> None:
    small, image = network("unet", [*SMALL, f"padding_mode={padding}"]), picture(101, 167)
    whole = on_cpu(small, tile="off").restore(image).image
    for side in (37, 150):
        assert np.abs(on_cpu(small, tile=side).restore(image).image - whole).max() <= 1e-5


def test_flat_areas_stay_and_tiles_agree_where_they_end() -> None:
    image = picture(90, 120)
    image[:, :80] = 0.4
    shift = Shift(5 / 255)
    whole = on_cpu(shift, tile="off").restore(image).image
    assert np.array_equal(whole[:, : 80 - REACH], image[:, : 80 - REACH])
    assert np.abs(whole[:, 80 - REACH :] - (image[:, 80 - REACH :] + 5 / 255).clip(0, 1)).max() < 1e-6
    assert np.abs(on_cpu(shift, tile=31).restore(image).image - whole).max() <= 1e-6


def test_a_stated_memory_gives_tiles_without_seams() -> None:
    small, image = network("unet"), picture(400, 500, np.uint8)
    deblurrer = on_cpu(small)
    deblurrer._most = 200 * 200  # as a memory of that room would
    tiled = deblurrer.restore(image)
    assert "tiles of" in tiled.note
    whole = on_cpu(small, tile="off").restore(image).image
    assert np.abs(tiled.image.astype(int) - whole).max() <= 1


def uneven() -> NDArray[Any]:
    """An image whose parts have other means than the whole."""
    ramp = np.linspace(0.2, 0.7, 256 * 384 * 3, dtype=np.float32).reshape(256, 384, 3)
    return ramp + 0.2 * picture(256, 384)


@pytest.mark.parametrize(
    ("name", "overrides", "most"),
    [
        ("dffm_msrm", SMALL, 1.0),
        ("nafnet_width32", ["channels=4", "encoder_blocks=[1,1]", "decoder_blocks=[1,1]"], 1.0),
        ("deblurgan", ["channels=4", "num_blocks=1"], 255.0),  # divides by deviations, of noise that is no photograph
    ],
)
def test_tiles_of_a_network_that_pools_share_its_means(name: str, overrides: list[str], most: float) -> None:
    pooling, image = network(name, overrides), uneven()
    for parameter in pooling.parameters():  # blocks that start as nothing take part
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    whole = on_cpu(pooling, tile="off").restore(image).image
    tiled = on_cpu(pooling, tile=128).restore(image)
    assert "means of the image are taken over" in tiled.note
    assert np.abs(tiled.image - whole).max() <= most / 255
    backend = TorchBackend(pooling, "cpu")
    tile = np.ascontiguousarray(image[:128, :128]).transpose(2, 0, 1)[None]
    alone = backend.restore(tile)[0].transpose(1, 2, 0)[:90, :90]
    apart = np.abs(alone.clip(0, 1) - whole[:90, :90]).mean()
    assert np.abs(tiled.image - whole)[:90, :90].mean() < 0.5 * apart  # than with means of its own


def test_means_of_parts_that_are_the_image_are_exactly_its_means() -> None:
    backend = TorchBackend(network("dffm_msrm").double(), "cpu")
    image = picture(32, 48, np.float64).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(backend.restore(image, backend.share(image, 0)), backend.restore(image), atol=1e-12)


def test_local_pools_take_the_place_of_shared_means() -> None:
    restored = on_cpu(network("dffm_msrm"), tile=64, tlc=True).restore(picture(80, 100))
    assert "of the whole image that a pixel depends on" in restored.note
    assert "parts of" not in restored.note
    with pytest.raises(ValueError, match="no global pool"):
        on_cpu(network("unet"), tlc=True)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    st.sampled_from(["auto", "off", 1, 7, 32]),
    st.sampled_from(list(VIEWS)),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_the_identity_keeps_every_bit(
    height: int, width: int, dtype: Any, tile: Any, tta: str, strength: float
) -> None:
    image = picture(height, width, dtype)
    image[0, 0], image[-1, -1] = 0, 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    before = image.copy()
    restored = on_cpu(Identity(), tile=tile, tta=tta, strength=strength).restore(image)
    assert (restored.image.dtype, restored.image.shape) == (image.dtype, image.shape)
    assert np.array_equal(restored.image, before)
    assert np.array_equal(image, before)
    assert not restored.fallbacks


@pytest.mark.filterwarnings("ignore:the tile at")  # untrained networks shift colours
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (4097, 3), (3, 513), (2, 2), (65, 64)])
@pytest.mark.parametrize("options", [{}, {"tile": 64}, {"tta": "x8"}])
def test_any_size_is_kept(size: tuple[int, int], options: dict[str, Any]) -> None:
    image = picture(*size, np.uint8)
    restored = on_cpu(network("dffm_msrm", ["channels=2", "num_blocks=1"]), **options).restore(image)
    assert restored.image.shape == image.shape


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_rounded_and_never_wrap(dtype: Any) -> None:
    most = np.iinfo(dtype).max
    levels = np.array([0, 1, most // 2, most - 1, most], dtype)
    image = np.repeat(np.tile(levels, (20, 4))[..., None], 3, axis=2)
    for by in (-0.31, -0.5 / most, 0.4 / most, 0.6 / most, 0.31):
        restored = on_cpu(Shift(by)).restore(image).image
        expected = np.clip(np.rint(image.astype(np.float64) + by * most), 0, most)
        assert np.abs(restored.astype(np.float64) - expected).max() <= (abs(by * most) % 1 == 0.5)


def test_floats_are_clamped() -> None:
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (40, 20))[..., None].repeat(3, axis=2)
    restored = on_cpu(Shift(0.25)).restore(stripes).image
    assert (restored.min(), restored.max()) == (0.25, 1.0)


def test_strength_is_the_share_of_the_change() -> None:
    image, small = picture(40, 50) * 0.5 + 0.25, network("unet")
    full = on_cpu(small).restore(image).image
    half = on_cpu(small, strength=0.5).restore(image).image
    inside = (full > 0) & (full < 1)
    np.testing.assert_allclose(half[inside], (0.5 * (image + full))[inside], atol=1e-6)


def test_a_broken_tile_stays_as_it_was_and_is_named() -> None:
    image = picture(64, 96, np.uint8) // 2
    image[40, 50] = 255
    with pytest.warns(UserWarning, match="x 32-64, y 32-64: the network gave not-a-number"):
        restored = on_cpu(Broken(), tile=32).restore(image)
    [fallback] = restored.fallbacks
    assert (fallback.rows, fallback.columns) == ((32, 64), (32, 64))
    inside = slice(32, 64), slice(32, 64)
    assert np.array_equal(restored.image[inside], image[inside])
    changed = restored.image != image
    assert changed[:32].any()
    assert changed.sum() == changed.sum() - changed[inside].sum()


def test_a_dark_flat_colour_that_explodes_stays() -> None:
    image = np.tile(np.array([33, 25, 23], np.uint8), (64, 64, 1))
    with pytest.warns(UserWarning, match=r"rgb\(33, 25, 23\) would shift by 9/255; it stays as it was"):
        restored = on_cpu(Shift(9 / 255)).restore(image)
    assert np.array_equal(restored.image, image)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not on_cpu(Shift(7 / 255)).restore(image).fallbacks


@pytest.mark.parametrize("tile", ["auto", "off", 200])
def test_out_of_memory_halves_the_tiles_and_goes_on(tile: Any) -> None:
    image = picture(150, 170, np.uint8)
    deblurrer = on_cpu(Hungry(), tile=tile)
    restored = deblurrer.restore(image)
    assert "tiles of" in restored.note
    assert np.array_equal(restored.image, np.rint(image / 255 * 0.99 * 255).astype(np.uint8))


def test_a_device_that_holds_not_even_a_small_tile_is_an_error() -> None:
    class Starving(DeblurNetwork):
        def restore(self, blur: Tensor) -> Pyramid:
            if blur.shape[-1] * blur.shape[-2] > 5000:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return Pyramid(blur)

    with pytest.raises(MemoryError, match=r"not even a tile of \d{4} pixels fits.*CUDA out of memory"):
        on_cpu(Starving()).restore(picture(150, 170))


def test_progress_counts_to_the_number_of_tiles() -> None:
    told: list[tuple[int, int]] = []
    on_cpu(Identity(), tile=32).restore(picture(64, 96), lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]


def test_every_kind_of_image_comes_back_as_it_came() -> None:
    deblurrer, image = on_cpu(network("unet")), picture(20, 30, np.uint8)
    expected = deblurrer(image)
    assert expected.dtype == np.uint8
    photo = deblurrer(Image.fromarray(image))
    assert isinstance(photo, Image.Image)
    assert np.array_equal(np.asarray(photo), expected)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    assert torch.equal(deblurrer(tensor).permute(1, 2, 0), torch.from_numpy(expected))
    batch = deblurrer(tensor[None] / 255)
    assert (batch.shape, batch.dtype) == ((1, 3, 20, 30), torch.float32)
    assert np.abs(batch[0].permute(1, 2, 0).numpy() * 255 - expected).max() <= 0.51


def test_grey_stays_grey() -> None:
    image = picture(20, 30, np.uint16)[..., 0]
    assert np.array_equal(on_cpu(Identity())(image), image)
    assert on_cpu(network("unet"))(image).shape == (20, 30)
    assert on_cpu(Identity())(Image.fromarray(picture(20, 30, np.uint8)[..., 0])).mode == "L"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((4, 4, 3), np.nan), "float pixels lie in"),
        (np.full((4, 4, 3), 1.5), "1.5 to 1.5"),
        (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int32), "not int32"),
        (torch.zeros(4, 4, 3), r"\(4, 4, 3\)"),
        (torch.zeros(2, 3, 4, 4), r"\(2, 3, 4, 4\)"),
        (Image.new("RGBA", (4, 4)), "mode RGBA"),
        ("photo.jpg", "not str"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        on_cpu(Identity())(image)


@pytest.mark.parametrize(
    "options",
    [{"tile": "no"}, {"tile": 0}, {"tta": "x9"}, {"strength": 1.1}, {"precision": "fp8"}, {"memory": 0}],
    ids=lambda options: next(iter(options)),
)
def test_an_unknown_choice_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        on_cpu(Identity(), **options)
    with pytest.raises(ValueError, match="device='tpu' is unknown"):
        Deblurrer(Identity(), device="tpu")


def test_a_memory_that_is_too_small_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"memory=1000000: .* too small"):
        on_cpu(network("unet"), memory=10**6).restore(picture(300, 300))


def test_bf16_is_near() -> None:
    small, image = network("dffm_msrm"), picture(40, 50)
    apart = np.abs(on_cpu(small, precision="bf16").restore(image).image - on_cpu(small).restore(image).image).max()
    assert 0 < apart < 0.02


def test_the_network_stays_as_it_is() -> None:
    pooling = network("dffm_msrm").train()
    before = {key: value.clone() for key, value in pooling.state_dict().items()}
    on_cpu(pooling, tlc=True, tile=32).restore(picture(40, 50))
    assert pooling.training
    assert all(torch.equal(value, before[key]) for key, value in pooling.state_dict().items())
    assert {module.kernel for module in pooling.modules() if hasattr(module, "kernel")} == {None}


@pytest.mark.parametrize(
    ("text", "size"), [("2G", 2 * 2**30), ("1.5 GiB", 3 * 2**29), ("800m", 800 * 2**20), ("1000", 1000)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert memory.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2X", "-1G", "G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="memory size"):
        memory.parse_size(text)


def test_the_system_says_what_is_held_and_free(tmp_path: Path) -> None:
    held = memory.resident()
    ballast = np.ones(2**26, np.uint8)
    assert memory.resident() - held > 2**25
    assert memory.available() > 2**20
    assert memory.room(memory.resident() + 10**9, beside=10**8) <= 9 * 10**8 + ballast.nbytes
    assert memory.room(1, beside=0) == 0
