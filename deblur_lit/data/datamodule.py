"""Splits, loaders and the share of each device: from a data set on disk to batches of uint8 pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from lightning import LightningDataModule

from deblur_lit.data.cache import CachedPairs, open_cached
from deblur_lit.data.faults import DataError
from deblur_lit.data.pairs import PairList, evenly, shared_sequences, some
from deblur_lit.data.response import Verdict, conservation, verdict
from deblur_lit.data.sampler import EpochBatchSampler, Loader, ResumableLoader
from deblur_lit.data.samples import Crops, Frames, collate
from deblur_lit.data.transforms import PairTransform

WORTH_CACHING = 2e8  # bytes of decoded frames
RESPONSE_SAMPLE = 8  # training pairs that are looked at when a run starts


class OpenPairs(Protocol):
    """Opens one split of a data set, restricted to `sequences` or without those of `exclude`."""

    def __call__(
        self, root: Path, split: str, *, sequences: Sequence[str] | None = None, exclude: Sequence[str] = ()
    ) -> PairList: ...


class Recipe(Protocol):
    """Data that are built where they are first needed."""

    def root(self) -> Path:
        """Return the folder of the data, built if it was missing."""
        ...


class DeblurDataModule(LightningDataModule):
    """Random crops to train on, whole frames to validate on and to test on.

    Training and validation never see the test split, and no sequence is both trained and validated on.

    Args:
        title: what tables call the data set.
        root: folder of the data, or a recipe that builds it.
        pairs: opens one split as `pairs(root, split, sequences=..., exclude=...)`.
        train: name of the training split; None for data that are only scored.
        val: sequences held out of the training split, or the name of a split; None or `none` trains on all.
        test: name of the test split.
        test_images: size of the official test split; fewer are labelled as a part of it. None for own data.
        crop_size: side of a training crop in pixels.
        batch_size: crops per optimiser step over all devices.
        num_workers: reading processes per device; the samples do not depend on it.
        seed: of order, crops and augmentation.
        augment: applied to each crop.
        repeat: passes over the training images in one epoch.
        response: what the blurred frames of the data set average, `linear` or `gamma`: a sample of the training
            frames is checked for it. None where that is not known.
        cache: folder of decoded frames (`deblur-lit data cache`); None is the default one. What is not there is
            read from the files.

    Raises:
        ValueError: if a split would be used for two things.
    """

    def __init__(
        self,
        title: str,
        root: str | Path | Recipe,
        pairs: OpenPairs,
        train: str | None,
        val: Sequence[str] | str | None,
        test: str,
        test_images: int | None,
        crop_size: int,
        batch_size: int,
        num_workers: int,
        seed: int,
        augment: PairTransform,
        repeat: int = 1,
        response: Verdict | None = None,
        cache: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.val = None if val in (None, "none", []) else val
        if test in (train, self.val) or (train is not None and train == self.val):
            raise ValueError(
                f"data.train={train}, data.val={val}, data.test={test}: a split serves for one of the three; "
                "hold sequences of the training split out with data.val=[SEQUENCE,...]"
            )
        self.title = title
        self.root = root
        self.open = pairs
        self.train = train
        self.test = test
        self.test_images = test_images
        self.crop_size = crop_size
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.augment = augment
        self.repeat = repeat
        self.response = response
        self.cache = Path(cache).expanduser() if cache else None
        self._opened: dict[str, PairList] = {}
        self._loaders: list[Loader] = []
        self._train_loader: ResumableLoader | None = None
        self._place: dict[str, int] = {}  # of a checkpoint, until there is a loader

    @property
    def has_validation(self) -> bool:
        """Whether images are held out for validation."""
        return self.val is not None

    @property
    def train_pairs(self) -> PairList:
        """The images to train on: the training split without the sequences held out.

        Raises:
            ValueError: if there is no training split, or a sequence to hold out is unknown.
        """
        if self.train is None:
            raise ValueError(f"{self.title} has no training split: it can only be scored")
        held_out = [] if self.val is None or isinstance(self.val, str) else [str(name) for name in self.val]
        return self._pairs("train", self.train, exclude=held_out)

    @property
    def val_pairs(self) -> PairList:
        """The images held out for validation."""
        assert self.train is not None
        assert self.val is not None
        if isinstance(self.val, str):
            return self._pairs("val", self.val)
        return self._pairs("val", self.train, sequences=[str(name) for name in self.val])

    @property
    def test_pairs(self) -> PairList:
        """The test split, opened without looking at the training split."""
        return self._pairs("test", self.test)

    @property
    def test_complete(self) -> bool:
        """Whether all images of the official test split are there."""
        return self.test_images in (None, len(self.test_pairs))

    @property
    def test_label(self) -> str:
        """What tables call the test images that are there, such as `GoPro test, 1111 images`."""
        images = len(self.test_pairs)
        if self.test_complete:
            return f"{self.title} {self.test}, {images} images"
        return f"{self.title}, {images} frames (not the {self.test} set of {self.test_images})"

    def crops(self, steps: int) -> int:
        """Return how many training crops the first `steps` optimiser steps see; last batches are smaller."""
        sampler = self._sampler(rank=0, world_size=1)
        epochs, rest = divmod(steps, len(sampler))
        return epochs * sampler.length + rest * self.batch_size

    def prepare_data(self) -> None:
        """Build what is not on disk yet; Lightning calls this in one process per machine."""
        self._folder()

    def setup(self, stage: str) -> None:
        """Open the splits that a stage needs, so that what is wrong with them is said at once.

        Raises:
            FileNotFoundError: if the data are not there.
            DataError: if files lack their partner, a sequence is trained on and validated or tested on, or the
                blurred frames are another version of the data set.
            ValueError: if there is no training split, or a sequence to hold out is unknown.
        """
        if stage == "test":
            self._pairs("test", self.test)
        elif stage == "fit":
            train = self.train_pairs.sequences
            val = self.val_pairs.sequences if self.has_validation else []
            if both := shared_sequences(train, val):
                raise DataError(f"data.val: {some(both)} would be both trained and validated on", "leak")
            if both := shared_sequences([*train, *val], self._test_sequences()):
                where = f"{self._folder()}: {some(both)} would be both trained and tested on"
                raise DataError(f"{where}; keep it in one of the two", "leak")
            self._check_response()
            if self.trainer and not self.has_validation:
                self.trainer.limit_val_batches = 0

    def train_dataloader(self) -> ResumableLoader:
        """Return this device's share of the training crops, in the order of (seed, epoch)."""
        if self._rank()[0] == 0:
            self._recommend_cache()
        accumulate = self.trainer.accumulate_grad_batches if self.trainer else 1
        crops = Crops(self.train_pairs, self.crop_size, self.augment, self.seed)
        loader = ResumableLoader(crops, self._sampler(*self._rank(), accumulate), collate, self.num_workers)
        if self._place:
            loader.load_state_dict(self._place)
        self._train_loader = loader
        self._loaders.append(loader)
        return loader

    def state_dict(self) -> dict[str, int]:
        """Return the place in the order of training samples, for a checkpoint."""
        return self._train_loader.state_dict() if self._train_loader else {}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue behind a saved place.

        Lightning keeps a loader's state too, but gives it back too late once the schedule asked for the steps of the
        run, which makes the loaders before the loops are restored.
        """
        self._place = state_dict

    def val_dataloader(self) -> Loader:
        """Return this device's share of the held-out frames."""
        return self._frames(self.val_pairs)

    def test_dataloader(self) -> Loader:
        """Return this device's share of the test frames."""
        return self._frames(self.test_pairs)

    def teardown(self, stage: str) -> None:
        """End the reading processes."""
        for loader in self._loaders:
            loader.close()
        self._loaders.clear()

    def on_exception(self, exception: BaseException) -> None:
        """End the reading processes of an interrupted run, which Lightning does not tear down."""
        self.teardown("fit")

    def _folder(self) -> Path:
        return Path(self.root) if isinstance(self.root, str | Path) else self.root.root()

    def _test_sequences(self) -> list[str]:
        """Return the names in the test split, none where it is not there: training does not need it."""
        try:
            return self.test_pairs.sequences
        except FileNotFoundError:
            return []

    def _check_response(self) -> None:
        """Refuse frames that average linear light for encoded values, or the reverse."""
        pairs = self.train_pairs
        if self.response is None:
            return
        found = verdict([conservation(*pairs.read(index)) for index in evenly(len(pairs), RESPONSE_SAMPLE)])
        if found not in (self.response, "undecidable"):
            is_not = f"the blurred frames are {found}, those of {self.title} are {self.response}"
            remedy = "take those of the other version; `deblur-lit data check` looks at all of them"
            raise DataError(f"{self._folder()}: {is_not}: {remedy}", "response")

    def _pairs(self, use: str, split: str, **selection: Sequence[str]) -> PairList:
        if use not in self._opened:
            self._opened[use] = open_cached(self.open(self._folder(), split, **selection), self.cache)
        return self._opened[use]

    def _recommend_cache(self) -> None:
        """Say what a cache would save, where whole frames are decoded for crops."""
        pairs = self.train_pairs
        height, width = pairs.size(0)
        size = 6 * height * width * len(pairs)  # two frames of three bytes a pixel
        if not isinstance(pairs, CachedPairs) and size > WORTH_CACHING:
            print(
                f"{self.title}: each crop decodes two whole {width}x{height} files; `deblur-lit data cache` decodes "
                f"them once ({size / 1e9:.1f} GB on disk), and a crop then reads only its rows",
                flush=True,
            )

    def _sampler(self, rank: int, world_size: int, accumulate: int = 1) -> EpochBatchSampler:
        length = len(self.train_pairs)
        return EpochBatchSampler(length, self.batch_size, self.seed, rank, world_size, self.repeat, accumulate)

    def _frames(self, pairs: PairList) -> Loader:
        """Return every R-th frame from r on, for rank r of R; padded, a frame would count twice."""
        rank, ranks = self._rank()
        if len(pairs) < ranks:
            raise ValueError(f"{len(pairs)} images for {ranks} devices: use at most {len(pairs)} devices")
        loader = Loader(Frames(pairs), [[i] for i in range(rank, len(pairs), ranks)], collate, self.num_workers)
        self._loaders.append(loader)
        return loader

    def _rank(self) -> tuple[int, int]:
        """Return (rank, number of ranks); a data module without trainer is alone."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
