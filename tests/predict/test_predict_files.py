"""Which files are taken, where the results go, and what is refused before anything is done."""

import os
from pathlib import Path

import pytest

from deblur_lit.predict.files import Plan, plan, shown


@pytest.fixture(autouse=True)
def _in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def pairs(made: Plan) -> dict[str, str]:
    return {str(job.source): str(job.target) for job in made.jobs}


def planned(*inputs: str, out: str | None = None) -> dict[str, str]:
    made = plan(inputs, Path(out) if out else None)
    assert not made.problems
    return pairs(made)


def test_without_an_output_a_result_lies_beside_its_source() -> None:
    touch("a.jpg", "trip/b.PNG", "trip/day 1/c.tif")
    assert planned("a.jpg", "trip/b.PNG") == {"a.jpg": "a.deblurred.jpg", "trip/b.PNG": "trip/b.deblurred.PNG"}
    folder = {"trip/b.PNG": "trip.deblurred/b.PNG", "trip/day 1/c.tif": "trip.deblurred/day 1/c.tif"}
    assert planned("trip") == planned("trip/") == folder
    os.chdir("trip")
    beside = str(Path.cwd().parent / "trip.deblurred" / "b.PNG")
    assert planned(".")["b.PNG"] == beside


def test_an_output_folder_keeps_names_and_subfolders() -> None:
    touch("a.jpg", "trip/b.webp", "trip/day/c.tiff", "trip/day/d.jpeg")
    assert planned("a.jpg", out="o") == {"a.jpg": "o/a.jpg"}
    assert planned("trip", out="o") == {
        "trip/b.webp": "o/b.webp", "trip/day/c.tiff": "o/day/c.tiff", "trip/day/d.jpeg": "o/day/d.jpeg",
    }  # fmt: skip
    assert planned("trip/**/*.jp*g", out="o") == {"trip/day/d.jpeg": "o/day/d.jpeg"}
    assert planned("trip/d?y/*", "a.jpg", out="o") == {
        "trip/day/c.tiff": "o/day/c.tiff", "trip/day/d.jpeg": "o/day/d.jpeg", "a.jpg": "o/a.jpg",
    }  # fmt: skip


def test_one_file_may_be_given_the_name_of_its_result() -> None:
    touch("a.jpg", "b.jpg")
    [job] = plan(["a.jpg"], Path("o/best.png")).jobs
    assert (job.target, job.wanted) == (Path("o/best.png"), "PNG")
    [job] = plan(["a.jpg"], Path("o/best.JPG")).jobs
    assert (job.target, job.wanted) == (Path("o/best.JPG"), None)
    assert planned("a.jpg", "b.jpg", out="o.jpg")["b.jpg"] == "o.jpg/b.jpg"
    touch("o.jpg")
    with pytest.raises(ValueError, match=r"-o o\.jpg is a file, but there is more than one result"):
        plan(["a.jpg", "b.jpg"], Path("o.jpg"))


def test_a_name_with_the_signs_of_a_pattern_is_a_file_if_it_is_there() -> None:
    touch("a[1].jpg", "a1.jpg")
    assert planned("a[1].jpg", out="o") == {"a[1].jpg": "o/a[1].jpg"}
    assert planned("a[12].jpg", out="o") == {"a1.jpg": "o/a1.jpg"}


def test_of_a_folder_hidden_files_results_links_and_what_is_no_photograph_are_left_alone() -> None:
    touch("t/a.jpg", "t/._a.jpg", "t/.cache/b.jpg", "t/a.deblurred.jpg", "t/u.deblurred/c.jpg", "t/v.mov", "t/n.txt")
    touch("t/m.txt", "t/LICENSE", "elsewhere/d.jpg")
    Path("t/link").symlink_to(Path("elsewhere").resolve())
    Path("t/loop").symlink_to(Path("t").resolve())
    Path("t/linked.jpg").symlink_to(Path("elsewhere/d.jpg").resolve())
    made = plan(["t"], None)
    assert [str(job.source) for job in made.jobs] == ["t/a.jpg", "t/linked.jpg"]
    assert +made.left == {".txt": 2, ".mov": 1, "no suffix": 1, "earlier results": 1, "links to folders": 2}


def test_the_output_inside_of_the_input_is_not_taken_for_input() -> None:
    touch("t/a.jpg", "t/out/a.jpg", "t/out/deep/b.jpg", "t/other/c.jpg")
    assert planned("t", out="t/out") == {"t/a.jpg": "t/out/a.jpg", "t/other/c.jpg": "t/out/other/c.jpg"}


def test_what_a_shell_makes_of_a_star_leaves_earlier_results_out() -> None:
    touch("a.jpg", "a.deblurred.jpg", "b.jpg")
    assert planned("a.deblurred.jpg", "a.jpg", "b.jpg") == {"a.jpg": "a.deblurred.jpg", "b.jpg": "b.deblurred.jpg"}
    assert planned("a.deblurred.jpg") == {"a.deblurred.jpg": "a.deblurred.deblurred.jpg"}
    assert planned("*.jpg", out="o") == {"a.jpg": "o/a.jpg", "b.jpg": "o/b.jpg"}


def test_a_file_that_is_named_twice_is_restored_once() -> None:
    touch("t/a.jpg")
    assert planned("t/a.jpg", "./t/a.jpg", out="o") == {"./t/a.jpg".removeprefix("./"): "o/a.jpg"}


def test_two_inputs_with_one_result_are_refused_by_name() -> None:
    touch("x/a.jpg", "y/a.jpg")
    with pytest.raises(ValueError, match=r"x/a\.jpg and y/a\.jpg would both become o/a\.jpg"):
        plan(["x", "y"], Path("o"))


@pytest.mark.parametrize(("inputs", "out"), [(["t"], "t"), (["t/a.jpg"], "t"), (["t/a.jpg"], "t/a.jpg"), (["l"], "t")])
def test_a_result_never_replaces_an_input(inputs: list[str], out: str) -> None:
    touch("t/a.jpg")
    Path("l").symlink_to("t")
    with pytest.raises(ValueError, match=r"is the input itself|would be replaced by a result"):
        plan(inputs, Path(out))


def test_what_is_not_there_is_a_problem_of_its_own_and_the_rest_goes_on() -> None:
    touch("a.jpg", "empty/n.txt")
    Path("broken.jpg").symlink_to("nowhere")
    made = plan(["missing.jpg", "a.jpg", "empty", "*.tiff", "broken.jpg"], None)
    assert [str(job.source) for job in made.jobs] == ["a.jpg", "broken.jpg"]
    assert [(problem.name, problem.reason.split(" (")[0]) for problem in made.problems] == [
        ("missing.jpg", "there is no such file or folder"),
        ("empty", "no photographs in it"),
        ("*.tiff", "no file matches it"),
    ]


def test_videos_are_told_by_their_suffix_and_taken_where_they_are_named() -> None:
    touch("clip.MOV", "t/b.jpg")
    assert [job.kind for job in plan(["clip.MOV", "t"], Path("o")).jobs] == ["video", "photo"]


def test_names_are_shown_on_one_line_whatever_they_hold() -> None:
    assert shown(os.fsdecode(b"a\xff\n\x1b[1m.jpg")) == "a\\xff\\n\\x1b[1m.jpg"
    assert shown(Path("Ä b.jpg")) == "Ä b.jpg"
