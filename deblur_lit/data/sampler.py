"""The order of training samples, and loaders that a run can be resumed with in the middle of an epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from deblur_lit.tensors import Batch

Key = tuple[int, int]  # (epoch, index): all that a sample's random draws depend on, besides the seed


@dataclass(frozen=True)
class Failure:
    """What a worker sends in place of a batch: an error that names a file, without a trace of the worker."""

    error: Exception


Collate = Callable[[list[Any]], Batch | Failure]  # samples to a batch


class EpochBatchSampler:
    """Batches of (epoch, index) keys: one rank's share of a global order drawn from (seed, epoch).

    Rank r takes the r-th slice of every global batch, so the order does not depend on the number of ranks.
    The last batch is as small as it comes out (526 batches for 2103 pairs at batch 4); where its size is no
    multiple of `world_size`, its first samples are repeated until it is, since every rank needs its share.
    Where batches are accumulated, one rank plays several: it gets their shares one after another.

    Args:
        length: of the data set.
        batch_size: images per batch over all ranks.
        seed: of the order.
        rank: of this process.
        world_size: number of ranks.
        repeat: passes over the data in one epoch: `index` runs up to `length * repeat`.
        accumulate: shares of this rank in every batch, each of them handed out as a batch.

    Raises:
        ValueError: if `batch_size` is no multiple of `world_size * accumulate`.

    Example:
        >>> sampler = EpochBatchSampler(length=5, batch_size=2, seed=0)
        >>> sampler.set_epoch(3)
        >>> list(sampler)
        [[(3, 4), (3, 1)], [(3, 3), (3, 0)], [(3, 2)]]
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        repeat: int = 1,
        accumulate: int = 1,
    ) -> None:
        shares = world_size * accumulate
        if batch_size < 1 or batch_size % shares:
            raise ValueError(
                f"data.batch_size={batch_size} counts the crops of all devices and does not divide among "
                f"{shares}; choose a multiple of {shares}, or another number of devices"
            )
        self.length = length * repeat
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.accumulate = accumulate
        self.epoch = 0
        self.start = 0  # batches of this epoch that a resumed run has behind it

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.length / self.batch_size) * self.accumulate

    def __iter__(self) -> Iterator[list[Key]]:
        # A spawn key of its own: without it the order would share its stream with the crop of (epoch, 0).
        stream = np.random.SeedSequence([self.seed, self.epoch], spawn_key=(0,))
        order = np.random.default_rng(stream).permutation(self.length).tolist()
        # A list and no generator, since workers ask ahead while `epoch` and `start` may already move on.
        return iter([self._share(order, *divmod(part, self.accumulate)) for part in range(self.start, len(self))])

    def _share(self, order: list[int], batch: int, turn: int) -> list[Key]:
        indices = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        share = math.ceil(len(indices) / (self.world_size * self.accumulate))
        first = (turn * self.world_size + self.rank) * share
        positions = range(first, first + share)
        return [(self.epoch, indices[position % len(indices)]) for position in positions]


class Loader:
    """A torch DataLoader that keeps to itself.

    It draws nothing from the global random state, so that dropout does not depend on it; it is not itself a
    DataLoader, so that Lightning leaves its sampler alone under several devices; and it raises a `Failure`.

    Args:
        dataset: what `batches` index.
        batches: lists of keys of `dataset`.
        collate: list of samples to a batch or a `Failure`.
        num_workers: processes that read ahead; they live until `close`.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batches: EpochBatchSampler | list[list[int]],
        collate: Collate,
        num_workers: int,
    ) -> None:
        self._dataset = dataset
        self._batches = batches
        self._collate = collate
        self._num_workers = num_workers
        self._loader: DataLoader[Any] | None = None

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        if self._loader is None:
            self._loader = DataLoader(
                self._dataset,
                batch_sampler=self._batches,
                collate_fn=self._collate,
                num_workers=self._num_workers,
                persistent_workers=self._num_workers > 0,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=use_one_thread,
                generator=torch.Generator(),
            )
        for batch in self._loader:
            if isinstance(batch, Failure):
                self.close()
                raise batch.error
            yield batch

    def close(self) -> None:
        """End the workers; iterating again starts new ones."""
        # Not left to the garbage collector: where it finds the queues in a cycle, each worker costs 5 seconds.
        if (batches := getattr(self._loader, "_iterator", None)) is not None:
            batches._shutdown_workers()
        self._loader = None


class ResumableLoader(Loader):
    """Training batches whose place in the epoch Lightning saves in every checkpoint and restores.

    The state counts the batches handed out: a checkpoint is exact when it is taken between training steps.
    """

    def __init__(self, dataset: Dataset[Any], sampler: EpochBatchSampler, collate: Collate, num_workers: int) -> None:
        super().__init__(dataset, sampler, collate, num_workers)
        self.sampler = sampler  # under this name Lightning finds `set_epoch`
        self._place = (0, 0)  # epoch, batches of it that were handed out
        self._resumed = False

    def __iter__(self) -> Iterator[Batch]:
        # Runs when the first batch is asked for: by then Lightning has restored the state and set the epoch.
        epoch, start = self._place
        resumed, self._resumed = self._resumed, False
        if not resumed or epoch != self.sampler.epoch:
            epoch, start = self.sampler.epoch, 0
        self.sampler.start = start
        self._place = (epoch, start)
        for count, batch in enumerate(super().__iter__(), start=start + 1):
            self._place = (epoch, count)
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, the batches of it that were handed out, and what the order depends on."""
        return {"epoch": self._place[0], "batches": self._place[1], **self._order()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue behind the batches of a saved state.

        Raises:
            ValueError: if the data, the batch size or the seed differ from those of the checkpoint.
        """
        here = self._order()
        there = {"accumulate": 1, **state}  # older checkpoints do not say
        differing = [f"{key} {there[key]} there, {here[key]} here" for key in here if there[key] != here[key]]
        if differing:
            raise ValueError(
                f"the checkpoint was taken with another order of samples ({'; '.join(differing)}): "
                "resume with the configuration it was made with, or start a new run"
            )
        self._place = (state["epoch"], state["batches"])
        self._resumed = True

    def _order(self) -> dict[str, int]:
        sampler = self.sampler
        return {
            "images_per_epoch": sampler.length,
            "batch_size": sampler.batch_size,
            "accumulate": sampler.accumulate,
            "seed": sampler.seed,
        }


def use_one_thread(worker: int) -> None:
    """Keep the workers from sharing out each image over threads that all want the same cores."""
    cv2.setNumThreads(0)  # 1 would wait for OpenCV's threads, which a fork does not bring along
    torch.set_num_threads(1)
