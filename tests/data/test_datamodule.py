import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import albumentations as A
import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deblur_lit.config import compose, stems
from deblur_lit.data.datamodule import DeblurDataModule, Recipe
from deblur_lit.data.faults import DataError
from deblur_lit.data.images import ImageError, write_png
from deblur_lit.data.mini import read_scene
from deblur_lit.data.paired_folder import PairedFolder
from deblur_lit.data.pairs import PairList
from deblur_lit.data.synthesis import Camera, synthesize
from deblur_lit.data.transforms import PairTransform
from deblur_lit.tensors import Batch

# Lightning 2.6 asks torch's pytree in a way that torch 2.13 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")

MakeTree = Callable[..., Path]
Seen = list[tuple[list[str], int]]
SPLITS = {"train": {"a": 4, "b": 3, "c": 2}, "test": {"d": 3, "e": 2}}


def make_data(root: Path | Recipe, **changes: Any) -> DeblurDataModule:
    moves = [A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=0.5)]
    settings: dict[str, Any] = {
        "title": "Tiny",
        "root": root,
        "pairs": PairedFolder,
        "train": "train",
        "val": ["c"],
        "test": "test",
        "test_images": 5,
        "crop_size": 16,
        "batch_size": 2,
        "num_workers": 0,
        "seed": 0,
        "augment": PairTransform(moves),
    }
    return DeblurDataModule(**{**settings, **changes})


@pytest.fixture
def root(make_tree: MakeTree) -> Path:
    return make_tree(SPLITS)


def mark(batch: Batch) -> tuple[list[str], int]:
    """What tells one batch from another: its names and its pixels."""
    weights = torch.arange(1, batch["blur"].numel() + 1, dtype=torch.int64)
    pixels = batch["blur"].reshape(-1).long() * 3 + batch["sharp"].reshape(-1).long()
    return batch["name"], int((weights * pixels).sum())


def read_epoch(data: DeblurDataModule, epoch: int) -> Seen:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    seen = [mark(batch) for batch in loader]
    data.teardown("fit")
    return seen


def test_a_training_batch_is_a_pair_of_uint8_crops_in_channels_last(root: Path) -> None:
    data = make_data(root, augment=PairTransform([]))
    batch = next(iter(data.train_dataloader()))
    for side in (batch["blur"], batch["sharp"]):
        assert side.shape == (2, 3, 16, 16)
        assert side.dtype == torch.uint8
        assert side.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch["blur"], 255 - batch["sharp"])
    assert all(name in data.train_pairs.names for name in batch["name"])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes:UserWarning")
def test_batches_do_not_depend_on_the_number_of_workers(root: Path) -> None:
    epochs = {n: [read_epoch(make_data(root, num_workers=n), epoch) for epoch in (1, 2)] for n in (0, 1, 3)}
    assert epochs[0] == epochs[1] == epochs[3]


def test_draws_do_not_repeat_across_epochs_images_and_passes(make_tree: MakeTree) -> None:
    root = make_tree({"train": {"a": 1}})
    for frame in range(2, 9):  # one picture under eight names: only the draws can differ
        for side in ("blur", "sharp"):
            content = (root / "train" / "a" / side / "000001.png").read_bytes()
            (root / "train" / "a" / side / f"{frame:06d}.png").write_bytes(content)
    data = make_data(root, val=None, batch_size=1, repeat=2, num_workers=2)
    crops = [pixels for epoch in range(2) for _, pixels in read_epoch(data, epoch)]
    assert len(crops) == 32
    assert len(set(crops)) == 32


def test_a_draw_does_not_depend_on_the_batch_it_is_in(root: Path) -> None:
    alone = make_data(root, batch_size=1)
    together = make_data(root, batch_size=7)
    single = {}
    for batch in alone.train_dataloader():
        single[batch["name"][0]] = batch["blur"][0]
    whole = next(iter(together.train_dataloader()))
    for name, blur in zip(whole["name"], whole["blur"], strict=True):
        assert torch.equal(single[name], blur)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_validation_and_test_are_whole_frames_each_once(root: Path, num_workers: int) -> None:
    data = make_data(root, num_workers=num_workers)
    for loader, pairs in ((data.val_dataloader(), data.val_pairs), (data.test_dataloader(), data.test_pairs)):
        batches = list(loader)
        assert [batch["name"] for batch in batches] == [[name] for name in pairs.names]
        assert {tuple(batch["blur"].shape) for batch in batches} == {(1, 3, 40, 48)}
    data.teardown("test")


def test_ranks_score_every_frame_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for rank in range(2):
        data = make_data(root)
        monkeypatch.setattr(data, "_rank", lambda rank=rank: (rank, 2))
        names.append([batch["name"][0] for batch in data.test_dataloader()])
    assert [len(share) for share in names] == [3, 2]
    assert sorted(names[0] + names[1]) == data.test_pairs.names
    monkeypatch.setattr(data, "_rank", lambda: (0, 6))
    with pytest.raises(ValueError, match="5 images for 6 devices"):
        data.test_dataloader()


def test_train_and_validation_share_no_sequence(root: Path) -> None:
    data = make_data(root)
    data.setup("fit")
    assert data.has_validation
    assert set(data.train_pairs.sequences) == {"a", "b"}
    assert set(data.val_pairs.sequences) == {"c"}


@pytest.mark.parametrize("val", [["c"], "none"])
def test_a_scene_that_is_tested_on_is_never_trained_on(val: Any, make_tree: MakeTree) -> None:
    data = make_data(make_tree({"train": {"a": 1, "b": 1, "c": 1}, "test": {"b": 1, "d": 1}}), val=val)
    with pytest.raises(DataError, match="b would be both trained and tested on") as refused:
        data.setup("fit")
    assert refused.value.kind == "leak"


def test_clips_with_bare_numbers_are_told_apart_by_their_split(make_tree: MakeTree) -> None:
    make_data(make_tree({"train": {"000": 1, "001": 1}, "test": {"000": 1}}), val=["001"]).setup("fit")


@pytest.mark.parametrize("expected", ["linear", "gamma", None])
def test_the_other_version_of_the_blur_is_not_trained_on(expected: Any, tmp_path: Path) -> None:
    for number, scene in enumerate(("facade", "moss", "boats")):
        generator = torch.Generator().manual_seed(number)
        blur, sharp = synthesize(read_scene(scene)[0], generator, Camera(speed=(1.0, 1.3)), "gamma")
        for side, image in (("blur", blur), ("sharp", sharp)):
            folder = tmp_path / "train" / scene / side
            folder.mkdir(parents=True)
            write_png(folder / "000001.png", image)
    data = make_data(tmp_path, val=["boats"], response=expected)
    if expected != "linear":
        data.setup("fit")
        return
    with pytest.raises(DataError, match="blurred frames are gamma, those of Tiny are linear") as refused:
        data.setup("fit")
    assert refused.value.kind == "response"


@pytest.mark.parametrize("val", ["none", None, []])
def test_val_none_trains_on_all(root: Path, val: Any) -> None:
    data = make_data(root, val=val)
    data.setup("fit")
    assert not data.has_validation
    assert len(data.train_pairs) == 9


def test_a_validation_split_of_its_own_is_read(make_tree: MakeTree) -> None:
    data = make_data(make_tree({**SPLITS, "val": {"f": 2}}), val="val")
    data.setup("fit")
    assert (len(data.train_pairs), data.val_pairs.sequences) == (9, ["f", "f"])


def test_an_unknown_validation_sequence_is_an_error_with_the_nearest(make_tree: MakeTree) -> None:
    data = make_data(make_tree({"train": {"GOPR01": 1, "GOPR02": 1}}), val=["GOPR1"])
    with pytest.raises(ValueError, match=r"no sequence 'GOPR1'; did you mean 'GOPR01'"):
        data.setup("fit")


@pytest.mark.parametrize("uses", [{"val": "test"}, {"train": "test"}, {"val": "train"}])
def test_one_split_cannot_serve_for_two_things(root: Path, uses: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a split serves for one of the three"):
        make_data(root, **uses)


def test_data_that_ignore_the_selection_are_caught(root: Path) -> None:
    def careless(root: Path, split: str, **selection: Any) -> PairList:
        return PairedFolder(root, split)

    with pytest.raises(ValueError, match="a, b, c would be both trained and validated on"):
        make_data(root, pairs=careless).setup("fit")


def test_scoring_does_without_a_training_split(make_tree: MakeTree) -> None:
    root = make_tree({"test": {"d": 3}})
    data = make_data(root)
    data.setup("test")
    assert data.test_label == "Tiny, 3 frames (not the test set of 5)"
    assert not data.test_complete
    with pytest.raises(FileNotFoundError, match=r"gopro has no 'train'; there is: test"):
        data.setup("fit")
    with pytest.raises(ValueError, match="Tiny has no training split"):
        make_data(root, train=None).setup("fit")


def test_the_whole_test_split_is_named_so(root: Path) -> None:
    assert make_data(root).test_label == "Tiny test, 5 images"
    assert make_data(root).test_complete


def test_crops_counts_what_the_steps_saw(root: Path) -> None:
    data = make_data(root)  # 7 images: batches of 2, 2, 2, 1
    assert [data.crops(steps) for steps in (0, 1, 3, 4, 5, 8)] == [0, 2, 6, 7, 9, 14]


def test_a_recipe_builds_the_data_before_they_are_opened(make_tree: MakeTree) -> None:
    class Tiny:
        folder: Path | None = None

        def root(self) -> Path:
            self.folder = self.folder or make_tree(SPLITS)
            return self.folder

    recipe = Tiny()
    data = make_data(recipe)
    data.prepare_data()
    assert recipe.folder is not None
    assert len(data.test_pairs) == 5


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_image_smaller_than_the_crop_names_file_size_and_remedy(root: Path, num_workers: int) -> None:
    data = make_data(root, crop_size=44, num_workers=num_workers)
    with pytest.raises(ImageError, match=r"^\S+blur/\d+\.png is 48x40 .*data\.crop_size=44; set it to 40 or less"):
        list(data.train_dataloader())


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("loader", ["train_dataloader", "test_dataloader"])
def test_a_damaged_file_is_named_in_one_line(root: Path, num_workers: int, loader: str) -> None:
    for split in ("train/a", "test/d"):
        path = root / split / "sharp" / "000002.png"
        path.write_bytes(path.read_bytes()[:-100])
    data = make_data(root, num_workers=num_workers)
    with pytest.raises(ImageError) as caught:
        list(getattr(data, loader)())
    assert "sharp/000002.png: truncated" in str(caught.value)
    assert "\n" not in str(caught.value)


class Recorder(lightning.LightningModule):
    """Writes down the batches it sees; its dropout depends on the global random state."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: Seen = []
        self.validated: list[str] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append((*mark(batch), self.current_epoch, batch_idx))  # type: ignore[arg-type]
        return (self.scale * nn.functional.dropout(batch["blur"].float())).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated += batch["name"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-4)


class Interruption(Exception):  # noqa: N818
    """Stands for what ends a run."""


class Save(lightning.Callback):
    """Saves after `step`, at the end of a training batch, of validation or of the epoch; then interrupts."""

    def __init__(self, path: Path, step: int, when: str) -> None:
        self.path, self.step, self.when = path, step, when

    def _act(self, trainer: lightning.Trainer, when: str) -> None:
        if (trainer.global_step, when) == (self.step, self.when) and not self.path.exists():
            trainer.save_checkpoint(self.path)
            raise Interruption

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        self._act(trainer, "batch")

    def on_validation_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        self._act(trainer, "validation")

    def on_train_epoch_end(self, trainer: lightning.Trainer, *args: Any) -> None:
        self._act(trainer, "epoch")


def fit(data: DeblurDataModule, callbacks: list[lightning.Callback], resume: Path | None = None) -> Recorder:
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=4,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    module = Recorder()
    with suppress(Interruption):
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    return module


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    ("step", "when"),
    [(2, "batch"), (7, "batch"), (4, "batch"), (8, "batch"), (4, "validation"), (8, "epoch")],
)
def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(
    root: Path, tmp_path: Path, num_workers: int, step: int, when: str
) -> None:
    whole = fit(make_data(root), [])
    assert len(whole.seen) == 16  # 4 epochs of 7 images at batch 2
    first = fit(make_data(root, num_workers=num_workers), [Save(tmp_path / "last.ckpt", step, when)])
    second = fit(make_data(root, num_workers=num_workers), [], resume=tmp_path / "last.ckpt")
    assert not multiprocessing.active_children()
    assert len(first.seen) == step
    assert first.seen + second.seen == whole.seen


def test_the_number_of_workers_leaves_dropout_alone(root: Path) -> None:
    scales = []
    for num_workers in (0, 2):
        torch.manual_seed(0)
        scales.append(fit(make_data(root, num_workers=num_workers), []).scale.item())
    assert scales[0] == scales[1]


def test_lightning_runs_without_validation_data(root: Path) -> None:
    module = fit(make_data(root, val=None), [])
    assert len(module.seen) == 4 * 5
    assert module.validated == []


def test_every_epoch_validates_every_held_out_frame_once(root: Path) -> None:
    assert fit(make_data(root), []).validated == ["c/000001", "c/000002"] * 4


@pytest.mark.parametrize("name", ["gopro", "realblur_j"])
def test_a_data_yaml_gives_a_data_module(name: str, tmp_path: Path) -> None:
    from hydra.utils import instantiate

    config = compose("train", [f"data={name}", f"data.root={tmp_path}", "data.val=none", "data.crop_size=32"])
    data = instantiate(config.data.module)
    assert isinstance(data, DeblurDataModule)
    assert (data.crop_size, data.has_validation, str(data.root)) == (32, False, str(tmp_path))


@pytest.mark.parametrize("name", stems("data/augment"))
def test_every_augmentation_yaml_moves_a_pair_together(name: str) -> None:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from deblur_lit.config import conf_dir

    augment = instantiate(OmegaConf.load(conf_dir() / "data" / "augment" / f"{name}.yaml"))
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    results = [augment(image, image.copy(), np.random.default_rng(seed)) for seed in range(8)]
    assert all(np.array_equal(blur, sharp) for blur, sharp in results)
    assert (len({blur.tobytes() for blur, _ in results}) > 1) == (name != "none")


@pytest.mark.shared
def test_real_frames_are_scored_as_a_part_of_gopro(shared: Path) -> None:
    data = make_data(shared / "realdata" / "gopro", title="GoPro", test_images=1111)
    data.setup("test")
    assert data.test_label == "GoPro, 4 frames (not the test set of 1111)"
    batch = next(iter(data.test_dataloader()))
    assert batch["blur"].shape == (1, 3, 720, 1280)
    assert batch["name"] == ["GOPR0384_11_00/000001"]


@pytest.mark.shared
def test_real_patches_train(shared: Path) -> None:
    data = make_data(shared / "realdata" / "gopro_patches", val=None, crop_size=64, batch_size=8)
    data.setup("fit")
    assert len(data.train_pairs) == len(data.train_pairs.names) == 30
    assert next(iter(data.train_dataloader()))["blur"].shape == (8, 3, 64, 64)
