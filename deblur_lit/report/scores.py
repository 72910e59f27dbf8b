"""Reading what a record says of its scores: means, checked against its images, and variants beside them."""

import math
from collections.abc import Mapping
from typing import Any

from deblur_lit.report.fields import take, take_number
from deblur_lit.report.runs import Score, SequenceMean, Variant

TOLERANCES = {"psnr": 0.005, "ssim": 0.0005}  # between a mean that is stated and that of its images


def read_score(scores: Mapping[str, Any], name: str, where: str) -> Score:
    """Return one entry of a record's `scores`.

    Raises:
        ValueError: naming file and key, if a field is missing or wrong, or a mean is not that of its images.
    """
    at = f"{where}, scores.{name}"
    part = take(scores, name, dict, where)
    protocol = take(part, "protocol", dict, at)
    variants = take(part, "variants", dict, at) if "variants" in part else {}
    count = take(part, "images", int, at)
    means, sequences = _means(part, count, at)
    return Score(
        label=take(part, "label", str, at),
        split=take(part, "split", str, at),
        images=count,
        complete=take(part, "complete", bool, at),
        data_hash=take(part, "data_hash", str, at),
        protocol={metric: take(protocol, metric, str, at) for metric in TOLERANCES},
        **means,
        psnr_blur=take_number(part, "psnr_blur", at),
        ssim_blur=take_number(part, "ssim_blur", at),
        sequences=sequences,
        variants={key: _variant(variants, key, count, f"{at}.variants") for key in variants},
    )


def _variant(variants: Mapping[str, Any], key: str, count: int, where: str) -> Variant | None:
    if variants[key] is None:
        return None
    part, at = take(variants, key, dict, where), f"{where}.{key}"
    means, sequences = _means(part, count, at)
    return Variant(take(part, "label", str, at), **means, sequences=sequences)


def _means(part: Mapping[str, Any], count: int, where: str) -> tuple[dict[str, float], tuple[SequenceMean, ...]]:
    """Return the stated PSNR and SSIM, and the mean PSNR of each sequence."""
    images = take(part, "per_image", list, where)
    if len(images) != count:
        raise ValueError(f"{where}: lists {len(images)} images and says {count}")
    if not all(isinstance(image, dict) for image in images):
        raise ValueError(f"{where}: `per_image` must list mappings of name, psnr and ssim")
    means = {metric: take_number(part, metric, where) for metric in TOLERANCES}
    for metric, said in means.items():
        mean = sum(take_number(image, metric, where) for image in images) / max(len(images), 1)
        if not (mean == said or math.isclose(mean, said, abs_tol=TOLERANCES[metric], rel_tol=0)):
            raise ValueError(f"{where}: `{metric}` is {said}, the mean of its images is {mean:.4f}")
    return means, _by_sequence(images, where)


def _by_sequence(images: list[dict[str, Any]], where: str) -> tuple[SequenceMean, ...]:
    """Return means over the images `<sequence>/<frame>` of each sequence, in the order of their names.

    Images that are called otherwise count as one sequence: nothing says that they are independent.
    """
    found: dict[str, list[float]] = {}
    for image in images:
        sequence = take(image, "name", str, where).rpartition("/")[0]
        found.setdefault(sequence, []).append(take_number(image, "psnr", where))
    return tuple(SequenceMean(name, len(values), sum(values) / len(values)) for name, values in sorted(found.items()))
