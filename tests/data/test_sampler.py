import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from deblur_lit.data.images import ImageError
from deblur_lit.data.sampler import EpochBatchSampler, Failure, Key, Loader, ResumableLoader


class Echo(Dataset[Any]):
    """Gives back the key, or a failure for keys of index `bad`."""

    def __init__(self, bad: int = -1) -> None:
        self.bad = bad

    def __getitem__(self, key: Key) -> Any:
        return Failure(ImageError(f"000{key[1]}.png: empty file")) if key[1] == self.bad else key


def gather(samples: list[Any]) -> Any:
    """Return the failure among samples, else the samples."""
    return next((sample for sample in samples if isinstance(sample, Failure)), samples)


def epochs(loader: ResumableLoader, first: int, last: int) -> Iterator[Any]:
    """Iterate as Lightning does: ask for an iterator, set the epoch, then ask for batches."""
    for epoch in range(first, last):
        batches = iter(loader)
        loader.sampler.set_epoch(epoch)
        yield from batches


def in_order(sampler: EpochBatchSampler, epoch: int) -> list[list[Key]]:
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_every_epoch_is_a_permutation_and_another_one(world_size: int) -> None:
    samplers = [EpochBatchSampler(16, 4, 0, rank=r, world_size=world_size) for r in range(world_size)]
    orders = []
    for epoch in range(3):
        keys = [key for sampler in samplers for batch in in_order(sampler, epoch) for key in batch]
        assert {key[0] for key in keys} == {epoch}
        assert sorted(key[1] for key in keys) == list(range(16))
        orders.append([index for _, index in keys])
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("length", [16, 15, 14, 13])
@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_batches_of_one_rank(length: int, world_size: int) -> None:
    alone = in_order(EpochBatchSampler(length, 4, seed=3), epoch=5)
    shares = [in_order(EpochBatchSampler(length, 4, 3, rank, world_size), epoch=5) for rank in range(world_size)]
    assert len(alone) == 4
    for number, batch in enumerate(alone):
        parts = [share[number] for share in shares]
        assert len({len(part) for part in parts}) == 1
        together = [key for part in parts for key in part]
        assert together[: len(batch)] == batch
        assert set(together) == set(batch)  # what is added to a small last batch is from this batch


def test_gopro_has_526_batches_of_4_the_last_of_3() -> None:
    batches = in_order(EpochBatchSampler(2103, 4, seed=0), epoch=0)
    assert (len(batches), len(batches[-1])) == (526, 3)


def test_repeat_gives_each_image_several_draws() -> None:
    sampler = EpochBatchSampler(5, 4, seed=0, repeat=3)
    indices = [index for batch in in_order(sampler, 0) for _, index in batch]
    assert len(sampler) == 4
    assert sorted(indices) == list(range(15))


def test_another_seed_is_another_order() -> None:
    assert in_order(EpochBatchSampler(32, 4, seed=0), 0) != in_order(EpochBatchSampler(32, 4, seed=1), 0)


def test_a_batch_that_does_not_divide_names_both_numbers() -> None:
    with pytest.raises(ValueError, match=r"data\.batch_size=4 .* among 3; choose a multiple of 3"):
        EpochBatchSampler(16, 4, seed=0, world_size=3)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("place", [0, 1, 3, 4, 5, 7])
def test_a_resumed_loader_goes_on_behind_what_was_seen(num_workers: int, place: int) -> None:
    whole = list(epochs(ResumableLoader(Echo(), EpochBatchSampler(7, 2, seed=0), gather, 0), 0, 3))
    first = ResumableLoader(Echo(), EpochBatchSampler(7, 2, seed=0), gather, num_workers)
    seen = epochs(first, 0, 3)
    before = [next(seen) for _ in range(place)]
    state = first.state_dict()
    second = ResumableLoader(Echo(), EpochBatchSampler(7, 2, seed=0), gather, num_workers)
    second.load_state_dict(state)
    assert second.state_dict() == state
    after = list(epochs(second, state["epoch"], 3))
    assert before + after == whole
    first.close()
    second.close()


def test_resuming_with_another_order_names_what_differs() -> None:
    state = ResumableLoader(Echo(), EpochBatchSampler(7, 2, seed=0), gather, 0).state_dict()
    other = ResumableLoader(Echo(), EpochBatchSampler(7, 4, seed=0), gather, 0)
    with pytest.raises(ValueError, match=r"batch_size 2 there, 4 here\): resume with the configuration"):
        other.load_state_dict(state)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_reading_leaves_the_global_random_state_alone(num_workers: int) -> None:
    before = torch.get_rng_state()
    loader = ResumableLoader(Echo(), EpochBatchSampler(7, 2, seed=0), gather, num_workers)
    assert len(list(epochs(loader, 0, 2))) == 8
    loader.close()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_of_a_worker_arrives_as_its_own_message(num_workers: int) -> None:
    loader = ResumableLoader(Echo(bad=3), EpochBatchSampler(7, 2, seed=0), gather, num_workers)
    with pytest.raises(ImageError) as caught:
        list(loader)
    assert str(caught.value) == "0003.png: empty file"


def test_closing_ends_the_workers_and_iterating_starts_new_ones() -> None:
    loader = Loader(Echo(), EpochBatchSampler(4, 2, seed=0), gather, num_workers=2)
    before = set(multiprocessing.active_children())
    first = list(loader)
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    assert list(loader) == first
    assert set(multiprocessing.active_children()) - before == workers  # kept between epochs
    loader.close()
    assert not workers & set(multiprocessing.active_children())
    assert list(loader) == first
    loader.close()


def test_an_error_ends_the_workers() -> None:
    before = set(multiprocessing.active_children())
    with pytest.raises(ImageError):
        list(Loader(Echo(bad=3), EpochBatchSampler(7, 2, seed=0), gather, num_workers=2))
    assert not set(multiprocessing.active_children()) - before
