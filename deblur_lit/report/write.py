"""The files of a table, and keeping a finished one under experiments/."""

from pathlib import Path

from deblur_lit.report.build import build_table
from deblur_lit.report.fields import read_json, take, write_whole
from deblur_lit.report.flat import as_csv, as_json, plain, write_csv
from deblur_lit.report.layout import lay_out
from deblur_lit.report.page import page
from deblur_lit.report.render import latex, markdown
from deblur_lit.report.runs import RECORD, Run
from deblur_lit.report.spec import TableSpec, load_spec
from deblur_lit.report.table import Table

PICTURE = "test.png"  # in a run folder: blur | restored | sharp of the test image with the median gain


def render(table: Table) -> dict[str, bytes]:
    """Return table.md, .csv, .json, .tex and .html by name. Equal runs give equal bytes."""
    layout = lay_out(table)
    texts = {
        "md": markdown(layout),
        "csv": as_csv(table),
        "json": as_json(table),
        "tex": latex(layout),
        "html": page(layout),
    }
    return {f"table.{suffix}": text.encode() for suffix, text in texts.items()}


def write_table(spec: TableSpec, runs: Path, data: str, out: Path | None = None, optional: bool = False) -> list[Path]:
    """Write a table as Markdown, CSV, JSON, LaTeX and HTML; each file is whole or absent.

    Args:
        spec: what `load_spec` returns.
        runs: the runs folder.
        data: data set of the runs, such as `mini` or `gopro`.
        out: folder for the files, by default runs/<table>/<data>.
        optional: also show optional rows that nobody has run.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: if there is no runs/<table>/<data>.
        ValueError: if missing.json there is damaged.
    """
    folder = runs / spec.name / data
    if not folder.is_dir():
        raise FileNotFoundError(f"no runs of {spec.name} on {data}: there is no folder {folder}")
    files = render(build_table(spec, runs, data, optional))
    return [write_whole((out or folder) / name, content) for name, content in files.items()]


def record(table_folder: Path, experiments: Path, spec: TableSpec | None = None) -> list[Path]:
    """Copy a finished table and the records it was made of to experiments/<table>/<data>.

    The copy holds table.*, rows/<row>/seed<k>.json (or published.json; rows/blur.json), beside it a trained run's
    picture of a test image, and result.csv, one line for each run and benchmark. Rows of an earlier copy that are no
    longer in the table are removed.

    Args:
        table_folder: runs/<table>/<data>, where `write_table` wrote.
        experiments: the folder to copy to.
        spec: the table's description, by default conf/table/<table>.yaml.

    Returns:
        The files of the copy.

    Raises:
        FileNotFoundError: if there is no table.json.
        ValueError: if a row is unfinished, a cell is stale, nothing is measured, or a file is not what the runs give
            now.
    """
    name, data = table_folder.resolve().parts[-2:]
    made = table_folder / "table.json"
    if not made.is_file():
        raise FileNotFoundError(f"no table.json in {table_folder}: make the table first")
    optional = take(read_json(made, str(made)), "optional", bool, str(made))
    table = build_table(spec or load_spec(name), table_folder.resolve().parents[1], data, optional)
    if unfinished := [f"{row.title}: {text}" for row in table.rows for text in row.unfinished]:
        raise ValueError("\n  ".join(["not recorded, rows are unfinished:", *unfinished]))
    if stale := [text for row in table.rows for cell in row.measured.values() for text in cell.stale]:
        raise ValueError("\n  ".join(["not recorded, cells are stale:", *dict.fromkeys(stale)]))
    files = render(table)
    for file, content in files.items():
        if not (table_folder / file).is_file() or (table_folder / file).read_bytes() != content:
            raise ValueError(f"not recorded, {table_folder / file} is stale: make the table again and read it first")
    if not (runs := [run for row in table.rows for run in row.runs]):
        raise ValueError(f"not recorded, {table_folder} holds no finished run")
    for run in runs:
        place = Path(*Path(run.folder).parts[3:])
        files[f"rows/{place}.json"] = (table_folder / place / RECORD).read_bytes()
        if (table_folder / place / PICTURE).is_file():
            files[f"rows/{place}.png"] = (table_folder / place / PICTURE).read_bytes()
    files["result.csv"] = write_csv([line for run in runs for line in _results(table, run)]).encode()
    target = experiments / name / data
    copied = [write_whole(target / file, content) for file, content in files.items()]
    for old in {path for path in (target / "rows").rglob("*.*") if path.is_file()} - set(copied):
        old.unlink()
    return copied


def _results(table: Table, run: Run) -> list[dict[str, str]]:
    lines = []
    for column in table.columns:
        if (score := run.scores.get(column.benchmark)) is None:
            continue
        values: dict[str, object] = {
            "row": run.row,
            "weights": run.weights,
            "seed": run.seed,
            "benchmark": column.benchmark,
            "label": score.label,
            "psnr": score.psnr,
            "ssim": score.ssim,
            "psnr_blur": score.psnr_blur,
            "ssim_blur": score.ssim_blur,
            "parameters": run.network and run.network.parameters,
            "steps": run.training and run.training.steps,
            "seconds": run.training and run.training.seconds,
            "checkpoint": run.checkpoint and run.checkpoint.selection,
            "commit": run.commit,
            "config_hash": run.config_hash,
            "data_hash": score.data_hash,
        }
        lines.append({key: plain(value) for key, value in values.items()})
    return lines
