"""The published facts in conf/data agree with themselves, with the settings beside them and with check values."""

import hashlib
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from omegaconf import OmegaConf

from deblur_lit.config import compose, stems

DIGITS = {"gopro": 6, "gopro_gamma": 6, "reds": 8, "reds_jpeg": 8}  # of frame numbers
KEYS = ["page", "licence", "archives", "url", "sha256", "response", "size", "near_identity", "splits"]
# Of RealBlur's K = 2..21, absent from the test lists.
MISSING = {
    "050": [21], "056": [10], "075": [21], "101": [15], "103": [14, 20, 21], "105": [14, 15], "108": [5, 9, 10],
    "112": [2, 3, 4], "122": [2, 15, 19], "218": [8, 9],
}  # fmt: skip


@cache
def _composed(name: str) -> Any:
    return OmegaConf.to_container(compose("train", [f"data={name}"]).data, resolve=False)


def data(name: str) -> Any:
    return deepcopy(_composed(name))


def digest(names: list[str]) -> str:
    return hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()[:16]


@pytest.fixture(params=[name for name in stems("data") if data(name)["official"]])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_fact_has_its_key_and_the_scored_split_its_number(name: str) -> None:
    node = data(name)
    assert list(node["official"]) == KEYS
    splits = node["official"]["splits"]
    assert splits[node["test"]]["pairs"] == node["test_images"]
    assert node["train"] is None or node["train"] in splits


def test_sequences_sum_to_the_pairs(name: str) -> None:
    for split in data(name)["official"]["splits"].values():
        if split["sequences"] is not None:
            numbers = [v if isinstance(v, int) else v[1] - v[0] + 1 for v in split["sequences"].values()]
            assert sum(numbers) == split["pairs"]


def test_names_follow_from_the_sequences(name: str) -> None:
    for split in data(name)["official"]["splits"].values():
        sequences = split["sequences"] or {}
        if all(isinstance(value, list) for value in sequences.values()) and sequences:
            frames = [(key, n) for key, (first, last) in sequences.items() for n in range(first, last + 1)]
            assert digest(sorted(f"{key}/{n:0{DIGITS[name]}d}" for key, n in frames)) == split["names_sha256"]


def test_no_sequence_of_gopro_and_no_scene_of_realblur_is_in_two_splits() -> None:
    train, test = (data("gopro")["official"]["splits"][split]["sequences"] for split in ("train", "test"))
    assert (len(train), len(test)) == (22, 11)
    assert not train.keys() & test.keys()
    scored = data("realblur_j")["official"]["splits"]["test"]["sequences"]
    assert len(scored) == 50
    assert not scored.keys() & set(data("realblur_j")["val"])


@pytest.mark.parametrize(
    ("name", "split", "pairs", "sha256"),
    [
        ("gopro", "train", 2103, "8585036ccb5656e1"),
        ("gopro", "test", 1111, "b462e5b7d90844b4"),
        ("realblur_j", "train", 3758, "9b1d8a8062a2f0d9"),
        ("realblur_r", "test", 980, "f6bbf38fd6a2453a"),
    ],
)
def test_check_values_are_those_of_the_published_lists(name: str, split: str, pairs: int, sha256: str) -> None:
    facts = data(name)["official"]["splits"][split]
    assert (facts["pairs"], facts["names_sha256"]) == (pairs, sha256)


def test_realblur_test_names_follow_from_the_scenes_and_the_missing_numbers() -> None:
    test = data("realblur_j")["official"]["splits"]["test"]
    listed = {scene: [k for k in range(2, 22) if k not in MISSING.get(scene[5:], [])] for scene in test["sequences"]}
    assert {scene: len(numbers) for scene, numbers in listed.items()} == test["sequences"]
    assert digest([f"{scene}/{k}" for scene in sorted(listed) for k in listed[scene]]) == test["names_sha256"]


def test_reds_names_of_the_tenth_frames_follow_from_the_clips() -> None:
    val = data("reds")["official"]["splits"]["val"]
    assert (
        digest([f"{clip}/{frame:08d}" for clip in val["sequences"] for frame in range(9, 100, 10)])
        == (val["names_sha256"])
    )


def test_sequences_held_out_are_published_ones() -> None:
    for name in ("gopro", "reds"):
        node = data(name)
        assert set(node["val"]) < node["official"]["splits"]["train"]["sequences"].keys()


def test_gamma_differs_from_linear_in_what_blur_must_be() -> None:
    linear, gamma = (data(name)["official"] for name in ("gopro", "gopro_gamma"))
    assert (linear.pop("response"), gamma.pop("response")) == ("linear", "gamma")
    assert linear == gamma


@pytest.mark.parametrize("name", ["folder", "mini", "mini_gamma"])
def test_nothing_is_published_of_own_data(name: str) -> None:
    assert data(name)["official"] is None
