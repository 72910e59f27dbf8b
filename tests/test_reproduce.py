"""From a command line to a table: what is scored, what is trained, what is refused."""

import importlib.util
import io
import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch

from deblur_lit import evaluate, load_network, reproduce, runs
from deblur_lit import plan as plan_module
from deblur_lit.config import compose
from deblur_lit.data.images import write_png
from deblur_lit.networks.loading import describe
from deblur_lit.networks.tlc import local_pools
from deblur_lit.report.spec import load_spec
from deblur_lit.restore import Restorer

LABEL = "GoPro, 2 frames (not the test set of 1111)"

# Stands in for `python -m deblur_lit.train -m ...`: says how it was started, then ends as it was told.
STUB = """#!{python}
import json, os, signal, sys
from pathlib import Path

facts = {{"words": sys.argv[1:], "leader": os.getsid(0) == os.getpid(), "data_root": os.environ.get("DATA_ROOT")}}
if {interrupts}:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    os.kill(os.getppid(), signal.SIGINT)  # Ctrl-C at the parent, which passes it on
    facts["signal"] = signal.sigwait([signal.SIGINT])
Path({facts!r}).write_text(json.dumps(facts))
sys.exit({status})
"""


def write_pair(blur: Path, sharp: Path, seed: int) -> None:
    """Write a small frame and its blurred copy."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (40, 32), interpolation=cv2.INTER_NEAREST)
    for path, content in ((sharp, image), (blur, cv2.blur(image, (5, 5)))):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, content)


def write_gopro(folder: Path, split: str, sequence: str, frames: int, seed: int = 0) -> None:
    """Write a sequence in GoPro's layout."""
    for frame in range(1, frames + 1):
        place = folder / split / sequence
        write_pair(place / f"blur/{frame:06d}.png", place / f"sharp/{frame:06d}.png", 100 * seed + frame)


def write_realblur(folder: Path) -> None:
    """Write one pair of RealBlur-J and the authors' list of it."""
    scene = "RealBlur-J_ECC_IMCORR_centroid_itensity_ref/scene001"
    blur, sharp = f"{scene}/blur/blur_1.png", f"{scene}/gt/gt_1.png"
    write_pair(folder / blur, folder / sharp, seed=7)
    (folder / "RealBlur_J_test_list.txt").write_text(f"{sharp} {blur} \n")


def save_weights(name: str, path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": load_network(name).state_dict()}, path)


@pytest.fixture(autouse=True)
def _restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what the command changes in its process."""
    monkeypatch.setenv("DATA_ROOT", "unset")  # so that it is restored
    monkeypatch.delenv("DATA_ROOT")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Place(NamedTuple):
    """Folders of a reproduction."""

    data: Path
    checkpoints: Path
    runs: Path

    def record(self, row: str) -> dict[str, Any]:
        return runs.read_record(self.runs / "table1/gopro" / row)

    def written(self) -> dict[str, int]:
        """When each record was written."""
        base = self.runs / "table1/gopro"
        return {
            path.parent.relative_to(base).as_posix(): path.stat().st_mtime_ns for path in base.rglob("metrics.json")
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Two test frames of GoPro, no training images, no published weights."""
    write_gopro(tmp_path / "data/GOPRO_Large", "test", "t", frames=2)
    (tmp_path / "checkpoints").mkdir()
    return Place(tmp_path / "data", tmp_path / "checkpoints", tmp_path / "runs")


@pytest.fixture
def make(place: Place) -> Callable[..., tuple[int, str]]:
    """Run the command on the frames; returns its status and what it printed."""

    def make(*words: str, table: str = "table1") -> tuple[int, str]:
        given = ["--data-root", str(place.data), "--checkpoints", str(place.checkpoints), "--runs", str(place.runs)]
        with redirect_stdout(io.StringIO()) as out:
            status = reproduce.main([table, *given, *words])
        return status, out.getvalue()

    return make


Make = Callable[..., tuple[int, str]]


def cells(place: Place, row: str, table: str = "table1") -> dict[str, Any]:
    """What a row of the written table measured."""
    content = json.loads((place.runs / table / "gopro/table.json").read_text())
    [found] = [entry for entry in content["rows"] if entry["key"] == row]
    measured: dict[str, Any] = found["measured"]
    return measured


def test_what_is_there_is_scored_once_and_again_when_it_changes(place: Place, make: Make) -> None:
    save_weights("mimo_unet", place.checkpoints / "mimo_unet.pkl", seed=0)
    status, said = make()
    assert status == 0
    assert said.startswith(f"table1 on {LABEL}\n")
    assert f"mimo_unet: published weights {place.checkpoints / 'mimo_unet.pkl'}" in said
    assert "hours" not in said  # nothing to train on
    row0, network = place.record("blur"), place.record("mimo_unet/published")
    for record in (row0, network):
        assert (record["seed"], record["training"], record["study"]) == (None, None, "table1")
        assert list(record["scores"]) == ["gopro"]
        assert (record["scores"]["gopro"]["label"], record["scores"]["gopro"]["complete"]) == (LABEL, False)
    assert (row0["network"], row0["checkpoint"]) == (None, None)
    assert row0["scores"]["gopro"]["psnr"] == network["scores"]["gopro"]["psnr_blur"]
    assert network["network"]["parameters"] == 6_807_171
    assert network["checkpoint"]["selection"] == "published"
    folder = place.runs / "table1/gopro"
    assert {path.suffix for path in folder.glob("table.*")} == {".md", ".csv", ".json", ".tex", ".html"}
    assert LABEL in (folder / "table.md").read_text()
    assert "MIMO-UNet (ICCV 2021)" in said
    assert set(cells(place, "blur")) == set(cells(place, "mimo_unet")) == {"gopro"}
    assert cells(place, "dffm_msrm") == {}
    missing = json.loads((folder / "missing.json").read_text())
    assert set(missing) == {row.key for row in load_spec("table1").rows} - {"blur", "mimo_unet"}
    assert f"{place.checkpoints}/dffm_msrm.{{" in missing["dffm_msrm"]

    before = place.written()
    status, said = make()
    assert status == 0
    assert "blur: finished already\nmimo_unet: finished already\n" in said
    assert place.written() == before

    save_weights("mimo_unet", place.checkpoints / "mimo_unet.pkl", seed=1)  # other weights under the same name
    assert make()[0] == 0
    changed = place.record("mimo_unet/published")
    assert changed["checkpoint"]["sha256"] != network["checkpoint"]["sha256"]
    assert changed["scores"]["gopro"]["psnr"] != network["scores"]["gopro"]["psnr"]
    assert place.written()["blur"] == before["blur"]

    write_realblur(place.data / "RealBlur")  # another test set appears, and another frame
    write_gopro(place.data / "GOPRO_Large", "test", "u", frames=1)
    assert make()[0] == 0
    for row in ("blur", "mimo_unet/published"):
        scores = place.record(row)["scores"]
        assert scores["gopro"]["images"] == 3
        assert scores["realblur_j"]["label"] == "RealBlur-J, 1 frames (not the test set of 980)"
        assert [image["name"] for image in scores["realblur_j"]["per_image"]] == ["scene001/1"]
    assert set(cells(place, "mimo_unet")) == {"gopro", "realblur_j"}


def trained(place: Place, row: str, data: str, table: str = "table1", steps: int = 1, *overrides: str) -> Path:
    """Leave a finished training of a narrow network in the folder of a GoPro run; return its record."""
    small = ["network.channels=4", "network.num_blocks=1"]
    cfg = compose("train", [f"ablation={row}", "experiment=paper", f"data={data}", "variant=''", *small, *overrides])
    folder = place.runs / table / "gopro" / row / "seed0"
    folder.mkdir(parents=True)
    runs.save_config(folder, cfg)
    torch.manual_seed(0)
    network = load_network(row, overrides=["channels=4", "num_blocks=1"])
    torch.save(
        {"state_dict": {f"network.{key}": value for key, value in network.state_dict().items()}}, folder / "last.ckpt"
    )
    pairs = reproduce._open("gopro").test_pairs
    record = evaluate.record(
        row=row,
        title=row,
        study=table,
        seed=0,
        config_hash=runs.config_hash(cfg),
        network={**describe(cfg.network), "reduced": False},
        training={
            "data": data,
            "data_hash": "0" * 64,
            "steps": steps,
            "crops": 4,
            "crop_size": 256,
            "batch_size": 4,
            "seconds": 1.0,
        },
        checkpoint=evaluate.describe_checkpoint(folder / "last.ckpt", "last"),
        scores={"gopro": evaluate.score(Restorer(network), pairs, LABEL, False)},
        device="cpu",
    )
    return runs.write_record(folder, record)


def test_a_run_trained_on_gopro_is_scored_on_the_other_data_too_and_once(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    write_realblur(place.data / "realblur_j")
    before = runs.read_record(trained(place, "dffm_msrm", "gopro").parent)
    assert make()[0] == 0
    after = place.record("dffm_msrm/seed0")
    assert after["scores"].pop("realblur_j")["images"] == 1
    assert after == before
    assert set(cells(place, "dffm_msrm")) == {"gopro", "realblur_j"}
    written = place.written()
    assert make()[0] == 0
    assert place.written() == written


SMALL = ["network.channels=4", "network.num_blocks=1"]  # as `trained` makes them


def with_crop(file: Path, crop_size: int) -> Path:
    """Change the training crop that a record states; return its folder."""
    record = runs.read_record(file.parent)
    record["training"]["crop_size"] = crop_size
    return runs.write_record(file.parent, record).parent


def test_rows_of_table_2_are_scored_in_three_ways_and_once(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    folders = {row: with_crop(trained(place, row, "gopro", "table2"), 16) for row in ("baseline", "dffm_msrm")}
    before = {row: runs.read_record(folder) for row, folder in folders.items()}
    assert make(table="table2")[0] == 0
    after = {row: runs.read_record(folder) for row, folder in folders.items()}
    found = {row: record["scores"]["gopro"].pop("variants") for row, record in after.items()}
    assert after == before
    assert found["baseline"]["tlc"] is None
    network = load_network("dffm_msrm", folders["dffm_msrm"] / "last.ckpt", ["channels=4", "num_blocks=1"])
    pairs = reproduce._open("gopro").test_pairs
    plain = before["dffm_msrm"]["scores"]["gopro"]["psnr"]
    tiles = evaluate.score(Restorer(network, tiles=16), pairs, LABEL, False)["psnr"]
    with local_pools(network, 16) as pools:
        tlc = evaluate.score(Restorer(network), pairs, LABEL, False)["psnr"]
    assert pools > 0
    assert found["dffm_msrm"]["tlc"]["psnr"] == pytest.approx(tlc, abs=1e-4)
    assert found["dffm_msrm"]["tiles16"]["psnr"] == pytest.approx(tiles, abs=1e-4)
    assert len({plain, tlc, tiles}) == 3
    assert found["dffm_msrm"]["tlc"]["label"] == "TLC, windows of 24 pixels"
    assert [image["name"] for image in found["dffm_msrm"]["tiles16"]["per_image"]] == pairs.names
    beside = cells(place, "dffm_msrm", "table2")["gopro"]["beside"]
    assert beside["tlc"]["psnr"]["mean"] == found["dffm_msrm"]["tlc"]["psnr"]
    assert cells(place, "baseline", "table2")["gopro"]["beside"]["tlc"] is None

    times = {row: (folder / "metrics.json").stat().st_mtime_ns for row, folder in folders.items()}
    assert make(table="table2")[0] == 0
    assert times == {row: (folder / "metrics.json").stat().st_mtime_ns for row, folder in folders.items()}


def test_published_weights_of_table_2_are_scored_in_three_ways(place: Place, make: Make) -> None:
    save_weights("dffm", place.checkpoints / "dffm.pkl", seed=0)
    assert make(table="table2")[0] == 0
    scores = runs.read_record(place.runs / "table2/gopro/dffm/published")["scores"]["gopro"]
    assert set(scores["variants"]) == {"tlc", "tiles256"}
    assert scores["variants"]["tlc"]["psnr"] == pytest.approx(scores["psnr"])  # frames smaller than the windows


def test_other_test_images_are_scored_anew_without_training(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    folder = trained(place, "dffm", "gopro", "table2").parent
    assert make(*SMALL, table="table2")[0] == 0
    before = runs.read_record(folder)
    write_gopro(place.data / "GOPRO_Large", "test", "u", frames=1)
    assert make(*SMALL, table="table2")[0] == 0
    after = runs.read_record(folder)
    assert after["scores"]["gopro"]["images"] == 3
    assert len(after["scores"]["gopro"]["variants"]["tiles256"]["per_image"]) == 3
    assert after["checkpoint"] == before["checkpoint"]
    assert not cells(place, "dffm", "table2")["gopro"]["stale"]


def test_what_changed_since_a_row_was_scored_is_said(place: Place, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    monkeypatch.setattr(plan_module, "probe", lambda cfg: (1.0, 1000, "cpu"))
    write_gopro(place.data / "GOPRO_Large", "train", "a", frames=1)
    folder = trained(place, "dffm", "gopro", "table2").parent

    def stale(*overrides: str) -> list[str]:
        assert make(*overrides, table="table2")[0] == 0
        said: list[str] = cells(place, "dffm", "table2")["gopro"]["stale"]
        return [text.removeprefix("runs/table2/gopro/dffm/seed0: ") for text in said]

    images = reproduce._open("gopro").train_pairs.fingerprint()
    assert stale(*SMALL) == [f"training images of gopro are {images[:12]} now, not {'0' * 12}"]
    record = runs.read_record(folder)
    record["training"]["data_hash"] = images
    runs.write_record(folder, record)
    assert stale(*SMALL) == []
    assert stale() == ["the table's recipe has other values of network.channels, network.num_blocks now"]

    weights = (folder / "last.ckpt").read_bytes()
    scores = record["scores"]
    (folder / "last.ckpt").write_bytes(weights + b"\0")
    [said] = stale(*SMALL)
    assert said.startswith("last.ckpt is ")
    assert runs.read_record(folder)["scores"]["gopro"]["psnr"] == scores["gopro"]["psnr"]  # not scored again
    (folder / "last.ckpt").write_bytes(weights)
    assert stale(*SMALL) == []

    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("batch_size: 4", "batch_size: 5"))
    said = stale(*SMALL)
    assert said[0].startswith("config.yaml is ")
    assert said[1:] == ["the table's recipe has other values of data.batch_size now"]


def test_weights_trained_on_mini_never_fill_a_gopro_cell(
    place: Place, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    trained(place, "dffm", "mini", table="table2")  # somebody copied the folder
    trained(place, "msrm", "gopro", table="table2")
    status, said = make(table="table2")
    assert status == 0
    assert cells(place, "dffm", "table2") == {}
    assert set(cells(place, "msrm", "table2")) == {"gopro"}
    assert "trained on mini" in said
    assert not (place.runs / "table2/gopro/blur").exists()  # Table 2 has no row 0


def test_finished_runs_of_other_studies_fill_the_row(place: Place, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    folder = place.runs / "table1/gopro/dffm_msrm/seed0"
    ways = {"train": ["trainer.max_epochs=5"], "long": ["trainer.max_epochs=9"], "table2": ["trainer=ddp"]}
    paths = {
        study: trained(place, "dffm_msrm", "gopro", study, steps, *ways[study]).parent
        for study, steps in (("train", 5), ("long", 9), ("table2", 7))
    }
    trained(place, "dffm_msrm", "mini", "mine", 99)  # trained on mini, whatever the folder says
    status, said = make()
    assert status == 0
    assert folder.resolve() == paths["long"]  # most steps: none is the table's recipe, which is of the full network
    assert not folder.readlink().is_absolute()
    assert f"dffm_msrm: finished, {paths['long']}" in said
    assert set(cells(place, "dffm_msrm")) == {"gopro"}

    small = ["network.channels=4", "network.num_blocks=1"]
    assert make(*small)[0] == 0
    assert folder.resolve() == paths["table2"]  # the same recipe on other hardware

    shutil.rmtree(paths["table2"])
    shutil.rmtree(paths["long"])
    assert make()[0] == 0
    assert folder.resolve() == paths["train"]
    shutil.rmtree(paths["train"])
    assert make()[0] == 0
    assert not folder.is_symlink()
    assert cells(place, "dffm_msrm") == {}


def test_runs_of_another_recipe_do_not_replace_a_training(
    place: Place, make: Make, stub: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(place.data))
    facts = stub(status=0)
    own = trained(place, "msrm", "gopro", "table2")
    other = trained(place, "dffm_msrm", "gopro", "train", 5, "trainer.max_epochs=5")
    same = trained(place, "dffm", "gopro", "train")
    small = ["network.channels=4", "network.num_blocks=1"]
    monkeypatch.setattr(reproduce, "_device", lambda: "cpu")
    status, said = make("--train", *small, table="table2")
    assert status == 0
    assert "ablation=baseline,dffm_msrm" in json.loads(facts.read_text())["words"]
    assert f"dffm: finished, {same.parent}" in said
    assert f"msrm: finished, {own.parent}" in said
    assert str(other.parent) not in said


@pytest.mark.parametrize("train_split", [False, True])
def test_training_is_refused_before_anything_is_scored(
    train_split: bool,
    place: Place,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if train_split:
        write_gopro(place.data / "GOPRO_Large", "train", "a", frames=1)
    assert make("--train")[0] == 1
    said = capsys.readouterr().err
    if train_split:
        assert said.startswith("error: TRAIN=1, but there is no GPU here")
    else:
        assert said.startswith("error: TRAIN=1, but there is nothing to train on: ")
        assert str(place.data / "GOPRO_Large") in said
        assert "leave TRAIN out" in said
    assert said.count("\n") == 1
    assert not place.runs.exists()


def test_training_images_without_partner_are_named_instead_of_a_missing_split(
    place: Place, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gopro(place.data / "GOPRO_Large", "train", "a", frames=2)
    lonely = place.data / "GOPRO_Large/train/a/blur/000002.png"
    (place.data / "GOPRO_Large/train/a/sharp/000002.png").unlink()
    assert make("--train")[0] == 1
    assert str(lonely) in capsys.readouterr().err
    assert make()[0] == 0  # what can be scored is scored all the same


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--data-root", "{tmp}/dta"], "{tmp}/dta: no such folder"),
        (["--data-root", "{tmp}/data", "--checkpoints", "{tmp}/chekpoints"], "{tmp}/chekpoints: no such folder"),
        (["--data-root", "{tmp}/checkpoints"], "data folder {tmp}/checkpoints/gopro/test does not exist"),
        (
            ["--data-root", "{tmp}/typo"],
            "{tmp}/typo/gopro/test does not exist: {tmp}/typo has no 'gopro'; did you mean 'gopr'?",
        ),
    ],
    ids=["data", "checkpoints", "no gopro", "misspelt"],
)
def test_a_folder_that_is_not_there_is_named(
    words: list[str], named: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp = place.data.parent
    (tmp / "typo/gopr").mkdir(parents=True)
    given = [word.format(tmp=tmp) for word in words]
    assert reproduce.main(["table1", *given, "--runs", str(place.runs)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert named.format(tmp=tmp) in said
    assert said.count("\n") == 1


def test_another_networks_checkpoint_is_named(place: Place, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights("baseline", place.checkpoints / "mimo_unet.pkl", seed=0)
    assert make()[0] == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {place.checkpoints / 'mimo_unet.pkl'} does not fit MIMOUNet. ")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["table3"], "'table3'"),
        (["table1", "--seeds", "one"], "'one' must be whole numbers"),
        (["table1", "--seeds", ""], "'' must be whole numbers"),
        (["table1", "--rows", "dfm"], "conf/ablation/dfm.yaml"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        reproduce.main(words)
    assert stop.value.code == 2
    assert named in capsys.readouterr().err


def test_overrides_may_follow_options() -> None:
    options = reproduce._parse(["table2", "--seeds", "0, 01 2", "trainer=ddp", "--optional", "tf32=true"])
    assert (options.table, options.optional, options.seeds) == ("table2", True, "0,1,2")
    assert options.overrides == ["trainer=ddp", "tf32=true"]
    assert reproduce._parse(["table1"]).overrides == []


def test_without_data_root_it_says_that_this_is_mini(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(data: str) -> None:
        raise ValueError(f"{data} is not opened here")

    monkeypatch.setattr(reproduce, "_open", absent)
    assert reproduce.main(["table1", "--runs", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("No DATA_ROOT: this runs data=mini")
    assert said.out.count("\n") == 1
    assert said.err == "error: mini is not opened here\n"


@pytest.fixture
def stub(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Put a program of known ending in the place of training, where there are images and, it seems, a GPU."""
    write_gopro(place.data / "GOPRO_Large", "train", "a", frames=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(plan_module, "probe", lambda cfg: (1.0, 1000, "a GPU"))

    def install(status: int, interrupts: bool = False) -> Path:
        facts, program = tmp_path / "facts.json", tmp_path / "stub"
        program.write_text(STUB.format(python=sys.executable, facts=str(facts), status=status, interrupts=interrupts))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(program))
        return facts

    return install  # type: ignore[return-value]


def test_rows_are_trained_by_one_sweep_in_this_environment(place: Place, make: Make, stub: Callable[..., Path]) -> None:
    facts = stub(status=0)
    status, said = make("--train", "--seeds", "0,1", "trainer=ddp", table="table2")
    assert status == 0
    started = json.loads(facts.read_text())
    assert started["words"] == [
        "-m",
        "deblur_lit.train",
        "-m",
        "ablation=baseline,dffm,msrm,dffm_msrm",
        "study=table2",
        "experiment=paper",
        "seed=0,1",
        f"hydra.sweep.dir='{place.runs / 'table2'}'",
        "variant=''",
        "trainer=ddp",
    ]
    assert started["data_root"] == str(place.data) == os.environ["DATA_ROOT"]
    assert "$ python -m deblur_lit.train -m ablation=baseline,dffm,msrm,dffm_msrm" in said
    assert "about 3507 GPU-hours (2 seed(s), " in said  # four rows of 3000 epochs of 526 steps of 1 s, twice


def test_a_failed_training_fails_the_command_but_not_the_table(
    place: Place, make: Make, stub: Callable[..., Path]
) -> None:
    stub(status=1)
    status, said = make("--train", table="table2")
    assert status == 1
    assert "Table 2: ablation on GoPro" in said
    assert (place.runs / "table2/gopro/table.md").is_file()


def test_an_interrupt_is_passed_on_once_and_ends_the_command(
    place: Place, make: Make, stub: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    facts = stub(status=130, interrupts=True)
    assert make("--train", table="table2")[0] == 130
    assert capsys.readouterr().err == "interrupted; finished rows are kept, the same command continues\n"
    started = json.loads(facts.read_text())
    assert started["signal"] == signal.SIGINT
    assert started["leader"]  # the terminal's own signal does not reach it: a second one would kill its jobs
    assert not (place.runs / "table2/gopro/table.md").exists()


def test_networks_other_than_ablations_are_sweeps_of_their_own() -> None:
    options = reproduce._parse(["table1", "--data-root", "x"])
    assert reproduce._sweeps(options, ["dffm_msrm", "mimo_unet"]) == [["ablation=dffm_msrm"], ["network=mimo_unet"]]
    assert reproduce._sweeps(options, ["mimo_unet"]) == [["network=mimo_unet"]]
    assert reproduce._sweeps(options, []) == []


def test_on_mini_every_core_gets_its_share_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "cores", lambda: 2)
    sweeps = reproduce._sweeps(reproduce._parse(["table2"]), ["baseline", "dffm", "msrm", "dffm_msrm"])
    assert sweeps == [["ablation=baseline,msrm"], ["ablation=dffm,dffm_msrm"]]


@pytest.mark.shared
def test_row_0_of_the_real_frames_is_the_published_one(shared: Path, tmp_path: Path) -> None:
    with redirect_stdout(io.StringIO()):
        assert reproduce.main(["table1", "--data-root", str(shared / "realdata"), "--runs", str(tmp_path)]) == 0
    scored = runs.read_record(tmp_path / "table1/gopro/blur")["scores"]["gopro"]
    assert scored["label"] == "GoPro, 4 frames (not the test set of 1111)"
    golden = json.loads((shared / "goldens/dmphn_real/dmphn_real.json").read_text())["realdata_frames_dmphn_1_2_4_8"]
    found = {image["name"]: image["psnr"] for image in scored["per_image"]}
    assert found == pytest.approx({name: values["psnr_uint8_blur"] for name, values in golden.items()}, abs=1e-6)


@pytest.mark.shared
@pytest.mark.long
def test_the_real_frames_go_through_a_published_network(shared: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("golden_rule", shared / "goldens/golden_rule.py")
    assert spec is not None
    assert spec.loader is not None
    rule = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rule)
    facts = json.loads((shared / "goldens/networks/mimo_unet.json").read_text())
    state, _ = rule.build_state(facts, gain=facts["tame_gain"])
    (tmp_path / "checkpoints").mkdir()
    weights = {key: torch.from_numpy(value) for key, value in state.items()}
    torch.save({"model": weights}, tmp_path / "checkpoints/mimo_unet.pkl")
    given = ["--data-root", str(shared / "realdata"), "--checkpoints", str(tmp_path / "checkpoints")]
    with redirect_stdout(io.StringIO()) as out:
        assert reproduce.main(["table1", *given, "--runs", str(tmp_path / "runs")]) == 0
    record = runs.read_record(tmp_path / "runs/table1/gopro/mimo_unet/published")
    assert record["scores"]["gopro"]["images"] == 4
    assert record["scores"]["gopro"]["psnr"] < record["scores"]["gopro"]["psnr_blur"]  # weights that learned nothing
    assert "GoPro, 4 frames" in out.getvalue()


@pytest.mark.shared
@pytest.mark.long
def test_dmphns_published_weights_fill_its_row(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/dmphn").symlink_to(shared / "goldens/dmphn_real/checkpoints/DMPHN_1_2_4_8")
    given = ["--data-root", str(shared / "realdata"), "--checkpoints", str(tmp_path / "checkpoints")]
    with redirect_stdout(io.StringIO()) as out:
        assert reproduce.main(["table1", *given, "--runs", str(tmp_path / "runs")]) == 0
    scored = runs.read_record(tmp_path / "runs/table1/gopro/dmphn/published")["scores"]["gopro"]
    golden = json.loads((shared / "goldens/dmphn_real/dmphn_real.json").read_text())["realdata_frames_dmphn_1_2_4_8"]
    found = {image["name"]: image["psnr"] for image in scored["per_image"]}
    assert found == pytest.approx({name: values["psnr_uint8"] for name, values in golden.items()}, abs=0.02)
    assert f"{scored['psnr']:.2f} dB on GoPro, 4 frames" in out.getvalue()
