"""The page of a sweep: complete, safe, equal for equal folders, and bounded in size."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sweep_store import SIZE, TITLES, Sweep

from deblur_lit.report.sweep import strips
from deblur_lit.report.sweep.page import sweep_page

EVIL = '</script><b onclick="x">&'


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Two rows of two seeds, one of them running, one failed, and a row that waits."""
    sweep = Sweep(tmp_path / "runs")
    for seed in (0, 1):
        sweep.learn("baseline", seed, 400, 3.0)
        sweep.finish("baseline", seed, 29.0 + 0.02 * seed)
    sweep.learn("dffm", 0, 400, 3.3)
    sweep.finish("dffm", 0, 29.4)
    sweep.learn("dffm", 1, 200, 3.3)
    sweep.hold(sweep.folder("dffm", 1))
    sweep.say("dffm", 1, "$ python -m deblur_lit.train ablation=dffm", "step 200/400 | 32.5 images/s | 0:01:09 left")
    sweep.say("msrm", 0, "the loss is not finite")
    for row in ("baseline", "dffm"):
        sweep.picture(row)
    jobs = {("baseline", 0): "done", ("baseline", 1): "done", ("dffm", 0): "done", ("dffm", 1): "new"}
    sweep.plan({**jobs, ("msrm", 0): "failed", ("dffm_msrm", 0): "new"}, reason="exit status 1")
    return sweep


class Elements(HTMLParser):
    """Collects start tags, the cells of each table by lines, and embedded data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.data: list[dict[str, Any]] = []
        self._cell = self._json = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._json = dict(attrs).get("type") == "application/json"
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._json:
            self.data.append(json.loads(data))
            self._json = False
        elif self._cell:
            self.tables[-1][-1][-1] += data

    def lines(self, table: int) -> dict[str, list[str]]:
        """The cells of a table by the first two of each line."""
        return {" ".join(line[:2]) if table == 0 else line[0]: line[1:] for line in self.tables[table]}


def page(sweep: Sweep, reference: str = "baseline") -> str:
    return sweep_page(sweep.root, reference)[0]


def test_every_job_is_on_the_board_with_what_is_known_of_it(sweep: Sweep) -> None:
    board = Elements(page(sweep)).lines(0)
    assert board["baseline 0"][1:5] == ["finished", "900 of 900", "40.0 mean", "–"]
    assert board["+ DFFM 1"][1:5] == ["running", "200 of 400", "32.5", "0:01:09"]
    assert board["+ MSRM 0"][1] == "failed"
    assert board["dffm_msrm 0"][1:] == ["waiting", "–", "–", "–", "–"]
    assert "6 jobs: 3 finished, 1 running, 1 waiting, 1 failed." in page(sweep)


def test_a_failed_job_is_followed_by_why_and_by_its_last_lines(sweep: Sweep) -> None:
    assert "<p>exit status 1</p><pre>the loss is not finite</pre>" in page(sweep)


def test_the_last_sign_of_life_is_that_of_the_files_and_of_finished_jobs_nothing(sweep: Sweep) -> None:
    text = page(sweep)
    assert text.count("<time") == 2  # running and failed
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ">', text)


def test_scores_are_means_over_seeds_with_differences_and_their_worth(sweep: Sweep) -> None:
    text = page(sweep)
    scores = Elements(text).lines(1)
    assert list(scores) == ["Row", "baseline", "+ DFFM", "+ MSRM", "dffm_msrm"]
    assert (scores["baseline"][0], scores["baseline"][3:5]) == ("2", ["29.01 ± 0.01", "–"])
    assert scores["+ DFFM"][0] == "1 of 2"
    assert scores["+ DFFM"][3:6] == ["29.40", "+0.39", "the rows differ"]
    assert scores["+ MSRM"] == ["0 of 1", *["–"] * 7]
    assert re.search(r"<li><b>\+ DFFM</b>: \+0.39 dB; 95 % interval \[.*8 sequences, 1 and 2 runs</li>", text)


def test_the_difference_in_validation_waits_for_all_seeds(sweep: Sweep) -> None:
    line = Elements(page(sweep)).lines(1)["+ DFFM"]
    assert line[1].endswith(" so far")
    assert line[2] == "–"
    sweep.finish("dffm", 1, 29.4)
    line = Elements(page(sweep)).lines(1)["+ DFFM"]
    assert re.fullmatch(r"\d\d\.\d\d ± \d\.\d\d", line[1])
    assert re.fullmatch(r"[+-]0\.\d\d", line[2])


def test_without_the_reference_there_are_no_differences_and_the_page_says_so(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs")
    sweep.finish("dffm", 0, 29.4)
    text = page(sweep)
    assert Elements(text).lines(1)["+ DFFM"][4] == "–"
    assert "No differences: there is no row &#x27;baseline&#x27;" in text
    with pytest.raises(ValueError, match="has no row 'msrm'; there is dffm"):
        page(sweep, "msrm")


def test_another_row_can_be_the_reference(sweep: Sweep) -> None:
    scores = Elements(page(sweep, "dffm")).lines(1)
    assert list(scores)[1] == "+ DFFM"
    assert scores["baseline"][4] == "-0.39"


def test_a_run_that_does_not_fit_its_row_is_left_out_by_name(sweep: Sweep) -> None:
    sweep.finish("baseline", 2, 29.0)
    record = sweep.folder("baseline", 2) / "metrics.json"
    record.write_text(record.read_text().replace('"steps": 900', '"steps": 901'))
    text = page(sweep)
    assert Elements(text).lines(1)["baseline"][0] == "2 of 3"
    assert "mini/baseline/seed2 is left out: trained otherwise than" in text


def test_changed_values_are_rows_of_their_own(sweep: Sweep) -> None:
    sweep.finish("baseline", 0, 29.0)
    shutil.copytree(sweep.root / "mini/baseline", sweep.root / "mini/baseline+optimizer.lr=0.1")
    scores = Elements(page(sweep)).lines(1)
    assert scores["baseline, optimizer.lr=0.1"][3] == "29.01 ± 0.01"


def test_what_was_changed_in_all_rows_is_said_once_and_the_reference_is_found(sweep: Sweep) -> None:
    for row in ("baseline", "dffm"):
        (sweep.root / "mini" / row).rename(sweep.root / "mini" / f"{row}+trainer.max_epochs=2")
    shutil.rmtree(sweep.root / "mini/msrm")
    shutil.rmtree(sweep.root / ".sweep")
    text = page(sweep)
    assert list(Elements(text).lines(1)) == ["Row", "baseline", "+ DFFM"]
    assert Elements(text).lines(1)["+ DFFM"][4] == "+0.39"
    assert "All rows: trainer.max_epochs=2." in text


def test_each_data_set_has_its_own_table_curves_and_pictures(sweep: Sweep) -> None:
    other = Sweep(sweep.root.parent, data="gopro")
    other.finish("baseline", 0, 30.0)
    text = page(sweep)
    assert [heading in text for heading in ("Scores on gopro", "Scores on mini", "Curves on mini")] == [True] * 3
    assert "Not logged by any run: val/psnr, val/ssim, train/loss, lr." in text
    assert "baseline: no validation.png yet." in text
    assert len(Elements(text).data) == 3


def test_curves_hold_mean_range_and_number_of_seeds(sweep: Sweep) -> None:
    charts = {chart["name"]: chart for chart in Elements(page(sweep)).data[0]["charts"]}
    assert list(charts) == ["val/psnr", "val/ssim", "train/loss", "train/content", "train/frequency", "lr"]
    curve = charts["val/psnr"]["curves"]["dffm"]
    assert curve["steps"] == [100, 200, 300, 400]
    assert curve["count"] == [2, 2, 1, 1]
    assert curve["low"][0] < curve["mean"][0] < curve["high"][0]
    assert "msrm" not in charts["val/psnr"]["curves"]


def pictures(text: str) -> tuple[dict[str, Any], Any]:
    embedded = Elements(text).data[0]["pictures"]

    def pixels(image: str, kind: str, label: str) -> Any:
        content = base64.b64decode(embedded["uris"][embedded["images"][image][kind][label]].split(",")[1])
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    return embedded, pixels


def test_pictures_are_cut_where_the_sheet_says(sweep: Sweep) -> None:
    embedded, pixels = pictures(page(sweep))
    assert list(embedded["images"]) == ["a/1", "b/2"]
    assert embedded["source"] == {"baseline": "seed 0, step 100", "dffm": "seed 0, step 100"}
    for index, image in enumerate(("a/1", "b/2")):
        for label, red in {"blur": 0, "sharp": 255, "row dffm": 20 + sum(map(ord, "dffm")) % 200}.items():
            detail = pixels(image, "detail", label)
            assert detail.shape == (SIZE[0] // 3, SIZE[1] // 3, 3)
            assert (detail == (red, 40 * index, 90)).all()
            assert pixels(image, "frame", label).shape == (*SIZE, 3)


def test_blur_and_sharp_are_embedded_once_for_all_rows(sweep: Sweep) -> None:
    embedded, _ = pictures(page(sweep))
    assert len(embedded["uris"]) == 2 * 2 * 4  # images, kinds; blur, sharp and two rows
    assert len(set(embedded["uris"])) == len(embedded["uris"])


def test_frames_are_reduced_and_images_beyond_the_budget_left_out_by_name(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "FRAME_WIDTH", 30)
    strips.read_sheet.cache_clear()
    embedded, pixels = pictures(page(sweep))
    assert pixels("a/1", "frame", "blur").shape == (24, 30, 3)
    size = sum(map(len, embedded["uris"]))
    monkeypatch.setattr(strips, "BUDGET", size - 1)
    text = page(sweep)
    assert list(pictures(text)[0]["images"]) == ["a/1"]
    assert "Left out for the size of the page: b/2." in text


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (b"", "cannot be cut: "),
        (None, "it does not say where its pictures lie"),
        ({"step": 1, "images": [{"name": "a"}]}, "is damaged (KeyError"),
        ({"step": 1, "images": [{"name": "a", "panels": {"detail": {"blur": [0, 0, 1, 9999]}}}]}, "lies at [0, 0, 1"),
    ],
)
def test_a_picture_that_cannot_be_cut_says_why(sweep: Sweep, damage: Any, said: str) -> None:
    path = sweep.picture("dffm")
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        about = strips_info(damage) if damage else None
        Image.new("RGB", (9, 9)).save(path, pnginfo=about)
    text = page(sweep)
    assert "+ DFFM: mini/dffm/seed0/validation.png" in text
    assert said in text.replace("&#x27;", "'")
    assert list(pictures(text)[0]["source"]) == ["baseline"]


def strips_info(about: Any) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("panels", json.dumps(about))
    return info


def test_provenance_names_commit_configuration_and_command(sweep: Sweep) -> None:
    text = page(sweep)
    assert re.search(r"<b>mini/baseline/seed0</b>: commit <code>4015b57</code>, config <code>\w{12}</code>", text)
    assert "<code>python -m deblur_lit.train ablation=dffm</code>" in text
    assert "<b>mini/dffm_msrm/seed0</b>: no record yet, so neither commit nor configuration hash</li>" in text


def test_equal_folders_give_equal_bytes(sweep: Sweep, tmp_path: Path) -> None:
    first = page(sweep)
    strips.read_sheet.cache_clear()
    assert page(sweep) == first
    shutil.copytree(sweep.root, tmp_path / "copy/runs/mine")  # with the times of the files
    assert sweep_page(tmp_path / "copy/runs/mine")[0] == first


def test_the_page_reloads_while_something_is_to_come_and_no_longer(sweep: Sweep) -> None:
    text = page(sweep)
    assert Elements(text).data[-1] == {"live": True, "reload": 10}
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in text
    for row, seed in (("dffm", 1), ("msrm", 0), ("dffm_msrm", 0)):
        sweep.finish(row, seed, 29.4)
    text = page(sweep)
    assert not Elements(text).data[-1]["live"]
    assert "refresh" not in text


def test_nothing_in_a_folder_can_break_the_page(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "runs", study="<i>study", data="<i>data")
    row = "<i>&'\"row"
    sweep.log(row, 0, [{"step": 9, f"train/{EVIL}": 1.0}])
    sweep.say(row, 0, f"$ {EVIL}", f"{EVIL}\x1b[31m")
    sweep.picture(row, names=(EVIL,))
    sweep.start(row, ablation={"title": EVIL})
    sweep.plan({(row, 0): "failed"}, reason=EVIL)
    text = page(sweep)
    elements = Elements(text)
    assert [tag for tag, _ in elements.tags].count("script") == 3
    assert not {"b", "i"} & {tag for tag, attributes in elements.tags if "onclick" in attributes or tag == "i"}
    assert EVIL not in text
    assert "\x1b" not in text
    assert elements.lines(0)[f"{EVIL} 0"][1] == "failed"


def test_nothing_outside_of_the_page_is_named(sweep: Sweep) -> None:
    text = page(sweep)
    bare = re.sub(r"base64,[\w+/=]+", "", text).replace('"http://www.w3.org/2000/svg"', "")  # a name, not an address
    assert not re.findall(r"(?i)https?:|url\(|@import", bare)
    for _, attributes in Elements(text).tags:
        assert all((attributes.get(name) or "data:").startswith("data:") for name in ("src", "href", "srcset"))
    assert "default-src 'none'; img-src data:;" in text


def test_damaged_curves_and_configurations_do_not_stop_the_page(sweep: Sweep) -> None:
    (sweep.folder("dffm", 1) / "config.yaml").write_text("{: [")
    (sweep.folder("dffm", 1) / "logs/version_0/metrics.csv").write_bytes(b"\xff\x00,step\n1,2\n")
    (sweep.folder("msrm") / "config.yaml").write_text("card: 3\nablation: [1]\ntrainer: no\n")
    assert Elements(page(sweep)).lines(0)["+ DFFM 1"][1] == "running"


def test_scripts_are_valid() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: apt-get install nodejs")
    scripts = [path for package in ("deblur_lit.report.sweep", "deblur_lit.web") for path in files(package).iterdir()]
    for script in (path for path in scripts if path.name.endswith(".js")):
        done = subprocess.run([node, "--check", str(script)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_page_imports_neither_torch_nor_hydra(sweep: Sweep) -> None:
    slow = {"torch", "lightning", "hydra", "omegaconf", "kornia", "albumentations", "wandb", "cv2"}
    code = (
        "import sys; from pathlib import Path; from deblur_lit.report.sweep.page import sweep_page; "
        f"sweep_page(Path({str(sweep.root)!r})); print(sorted({slow!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_titles_of_the_made_up_rows_are_the_real_ones() -> None:
    from deblur_lit.config import compose

    for row, title in TITLES.items():
        assert compose("train", [f"ablation={row}"]).ablation.title.startswith(title[:6])
