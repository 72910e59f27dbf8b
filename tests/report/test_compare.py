"""Whether a difference between rows is real: the interval's level, its power, and what the verdict says."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deblur_lit.report.compare import EXACT, Array, compare, interval, t_quantile
from deblur_lit.report.power import IMAGES, Scatter, alternatives, detectable, draw, found, main, nulls

SIZES = np.array(IMAGES)
ONCE = (1, 1)


def rows(runs: tuple[int, int] = ONCE, scatter: Scatter | None = None, true: float = 0.0) -> tuple[Array, Array]:
    """Return one draw of two rows."""
    first, second = draw(scatter or Scatter(), runs, true, 1, np.random.default_rng(7))
    return first[0], second[0]


@pytest.mark.parametrize(("freedom", "expected"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (10, 2.2281), (18, 2.1009)])
def test_quantiles_are_those_of_students_tables(freedom: int, expected: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(expected, abs=1e-4)


def test_one_run_each_is_the_sign_flip_test_inverted() -> None:
    first, second = draw(Scatter(), ONCE, 0.05, 60, np.random.default_rng(3))
    _, low, high, _ = interval(first, second, SIZES)
    signs = np.array(list(product([-1.0, 1.0], repeat=len(SIZES))))
    verdicts = set()
    for each in range(60):
        parts = (first - second)[each, 0] * SIZES
        p = np.mean(np.abs(signs @ parts) >= abs(parts.sum()) - 1e-9)
        assert (p <= 0.05) == (low[each] > 0 or high[each] < 0)
        verdicts.add(bool(p <= 0.05))
    assert verdicts == {True, False}


@given(st.floats(-2, 2), st.sampled_from([ONCE, (3, 3), (1, 2)]))
def test_a_shift_of_all_sequences_shifts_the_interval(shift: float, runs: tuple[int, int]) -> None:
    first, second = rows(runs, Scatter(seed=0.07))
    before, after = interval(first, second, SIZES), interval(first + shift, second, SIZES)
    np.testing.assert_allclose(np.subtract(after[:3], before[:3]), shift, atol=1e-9)
    assert after[3] == pytest.approx(before[3])
    assert before[1] < before[0] < before[2]


def test_swapping_rows_mirrors_the_interval() -> None:
    first, second = rows((3, 2), Scatter(seed=0.07))
    mean, low, high, least = interval(first, second, SIZES)
    np.testing.assert_allclose(interval(second, first, SIZES), (-mean, -high, -low, least))


def test_the_difference_is_that_of_the_scores_over_images() -> None:
    first, second = rows((2, 3), Scatter(seed=0.07))
    per_image = [np.repeat(row, SIZES, axis=1).mean() for row in (first, second)]
    assert compare(first, second, SIZES).mean == pytest.approx(per_image[0] - per_image[1], abs=1e-6)


def test_scatter_between_seeds_widens_the_interval() -> None:
    first, second = rows((2, 2), Scatter(seed=0.0))
    calm = interval(first, second, SIZES)
    shifts = np.array([[-0.1], [0.1]])
    restless = interval(first + shifts, second + shifts, SIZES)
    assert restless[0] == pytest.approx(calm[0])
    assert restless[2] - restless[1] > 5 * (calm[2] - calm[1])
    assert restless[3] > 3 * calm[3]


def test_more_sequences_than_can_be_counted_are_sampled_and_the_same_each_time() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.normal(30, 1, (2, 1, EXACT + 20))
    sizes = np.full(EXACT + 20, 20)
    assert np.array_equal(interval(first, second, sizes), interval(first, second, sizes))
    se = np.std(first - second, ddof=1) / np.sqrt(EXACT + 20)
    _, low, high, _ = interval(first, second, sizes)
    assert (high - low) / 2 == pytest.approx(t_quantile(0.975, EXACT + 19) * se, rel=0.1)


@pytest.mark.parametrize(
    ("runs", "true", "said"),
    [
        (ONCE, 1.0, "these two checkpoints differ"),
        (ONCE, 0.0, "no difference shown between these two checkpoints"),
        ((3, 3), 1.0, "the rows differ"),
        ((3, 1), 0.0, "no difference shown"),
    ],
)
def test_one_run_each_speaks_of_checkpoints_only(runs: tuple[int, int], true: float, said: str) -> None:
    found_here = compare(*rows(runs, true=true), SIZES)
    assert found_here.verdict == said
    assert (found_here.seeds, found_here.sequences) == (runs, 11)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_below_8_sequences_nothing_is_decided(count: int) -> None:
    first, second = rows((2, 2), true=5.0)
    few = compare(first[:, :count], second[:, :count], SIZES[:count])
    assert few.verdict == f"undecidable, {count} sequence{'s' if count > 1 else ''}"
    assert (few.low, few.high, few.detectable) == (None, None, None)
    assert few.mean == pytest.approx(5.0, abs=0.5)


def test_identical_images_are_not_compared() -> None:
    first, second = rows()
    first[0, 3] = np.inf
    assert compare(first, second, SIZES).verdict == "undecidable, infinite PSNR"


def test_equal_rows_do_not_differ() -> None:
    first, _ = rows((2, 2))
    assert compare(first, first, SIZES).verdict == "no difference shown"


def bootstrap(first: Array, second: Array) -> float:
    """Return the share of differences that a plain percentile bootstrap over sequences finds."""
    picks = np.random.default_rng(0).integers(0, len(SIZES), (400, len(SIZES)))
    parts = (first.mean(1) - second.mean(1)) * SIZES
    low, high = np.quantile(parts[:, picks].sum(-1) / SIZES[picks].sum(-1), [0.025, 0.975], axis=1)
    return float(((low > 0) | (high < 0)).mean())


def satterthwaite(first: Array, second: Array) -> float:
    """Return the share that a t interval with Satterthwaite's degrees of freedom finds."""
    weights = SIZES / SIZES.sum()
    each = first.mean(1) - second.mean(1)
    mean = each @ weights
    of_sequences = (weights**2 / (1 - weights) * (each - mean[:, None]) ** 2).sum(1)
    runs = first.shape[1], second.shape[1]
    freedom = sum(runs) - 2
    squares = sum((row @ weights).var(1, ddof=0) * number for row, number in zip((first, second), runs, strict=True))
    of_seeds = squares / max(freedom, 1) * (1 / runs[0] + 1 / runs[1])
    total = of_sequences + of_seeds
    combined = total**2 / (of_sequences**2 / 10 + of_seeds**2 / max(freedom, 1))
    critical = np.interp(combined, range(1, 31), [t_quantile(0.975, number) for number in range(1, 31)])
    return float((np.abs(mean) / np.sqrt(total) > critical).mean())


def test_the_false_positive_rate_is_held_on_a_few_nulls() -> None:
    for scatter, runs in [(Scatter(), ONCE), (Scatter(0.0, 0.09), (3, 3)), (Scatter(0.1, 0.05), (2, 2))]:
        assert found(scatter, runs, 0.0, 2000) <= 0.06


def test_a_plain_bootstrap_does_not_hold_it() -> None:
    first, second = draw(Scatter(), ONCE, 0.0, 2000, np.random.default_rng(0))
    assert bootstrap(first, second) > 0.08


def test_the_smallest_detectable_difference_is_found_in_four_of_five_draws() -> None:
    for scatter, runs in [(Scatter(), ONCE), (Scatter(seed=0.07), (5, 5))]:
        assert found(scatter, runs, detectable(scatter, runs, 1000), 1000) == pytest.approx(0.8, abs=0.05)


def test_the_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--draws", "10"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 0")]
    assert len(lines) == len([*nulls(), *alternatives()])


@pytest.mark.long
def test_every_null_keeps_the_level_and_the_other_forms_do_not() -> None:
    """Prints what each form finds where there is nothing; recorded in experiments/statistics."""
    worst = {"sign flip": 0.0, "Satterthwaite": 0.0, "bootstrap": 0.0}
    for scatter, runs in nulls():
        first, second = draw(scatter, runs, 0.0, 4000, np.random.default_rng(1))
        rates = {
            "sign flip": found(scatter, runs, 0.0, 8000),
            "Satterthwaite": satterthwaite(first, second),
            "bootstrap": bootstrap(first, second),
        }
        print(scatter, runs, {form: f"{rate:.3f}" for form, rate in rates.items()})
        worst = {form: max(worst[form], rate) for form, rate in rates.items()}
    assert worst["sign flip"] <= 0.06
    assert worst["Satterthwaite"] > 0.06
    assert worst["bootstrap"] > 0.09


@pytest.mark.long
def test_the_power_grows_with_seeds_and_reaches_a_tenth_of_a_decibel() -> None:
    for seed in (0.05, 0.09):
        powers = [found(Scatter(0.05, seed, 0.02), (runs, runs), 0.1, 4000) for runs in (2, 3, 5, 10)]
        print(f"true 0.1 dB, seeds scatter by {seed} dB:", powers)
        assert powers == sorted(powers)
        assert powers[-1] > (0.9 if seed == 0.05 else 0.5)
    assert found(Scatter(0.1), ONCE, 0.1, 4000) == pytest.approx(0.78, abs=0.04)
