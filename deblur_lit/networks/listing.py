"""The table of all networks."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from deblur_lit.networks.latency import choose_device, measure_latency
from deblur_lit.networks.loading import describe, network_config, network_names
from deblur_lit.networks.receptive_field import receptive_field
from deblur_lit.nodes import ABLATED_NETWORK, stems

SIZE = (256, 256)  # of the image that latency is measured on, unless another is given


def list_networks(names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what is known of networks and what they cost.

    Args:
        names: which; none means all.

    Returns:
        Per network its card (title, paper, year, and where its authors publish weights under which licence), its
        parameters, its MACs (256x256, multiply-accumulates) and its receptive field (pixels; None where unbounded).

    Raises:
        ValueError: for an unknown name, with the nearest.
    """
    listed = []
    configs = {name: network_config(name) for name in names or network_names()}
    for name, config in track(configs.items(), "looking at networks", console=Console(stderr=True), transient=True):
        card, ablation = config.card, name in stems("ablation")
        listed.append(
            {
                "name": name,
                "group": "ablation" if ablation else "network",
                "title": f"{ABLATED_NETWORK}: {config.ablation.title}" if ablation else card.title,
                "paper": card.paper,
                "year": card.year,
                "weights": {"url": card.weights.url, "licence": card.weights.licence},
                **{key: value for key, value in describe(config.network).items() if key != "target"},
                "receptive_field": receptive_field(config.network),
            }
        )
    return listed


def print_networks(
    names: Sequence[str] = (),
    as_json: bool = False,
    latency: bool = False,
    size: Sequence[int] | None = None,
    device: str | None = None,
) -> None:
    """Print the table of networks, for people or as JSON.

    Args:
        names: which; none means all.
        as_json: whether to print JSON.
        latency: whether to measure how long each takes for one image.
        size: height and width of that image in pixels.
        device: where it is measured, such as "cuda" or "cpu"; by default a GPU where there is one.

    Raises:
        ValueError: for an unknown name or device, or a size or device without `latency`.
    """
    if (size or device) and not latency:
        raise ValueError("--size and --device say how --latency is measured: add --latency")
    chosen = choose_device(device) if latency else None
    listed = list_networks(names)
    if chosen:
        height, width = size or SIZE
        for row in track(listed, "measuring latency", console=Console(stderr=True), transient=True):
            row["latency"] = measure_latency(row["name"], (height, width), chosen)
    if as_json:
        print(json.dumps(listed, indent=1))
        return
    Console().print(_costs(listed))
    published = [row for row in listed if row["weights"]["url"]]
    if published:
        print("\npublished weights, their licence, and where")
    for row in published:  # not a table: an address is there to be copied whole
        print(f"{row['name']:<24}{row['weights']['licence'] or 'none stated':<13}{row['weights']['url']}")


def _costs(listed: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("name", "network", "paper"):
        table.add_column(column)
    columns = ["year", "parameters, M", "GMACs at 256x256", "receptive field, px"]
    if "latency" in listed[0]:
        height, width = listed[0]["latency"]["size"]
        columns.append(f"ms at {height}x{width} on {listed[0]['latency']['device']} (quartiles)")
    for column in columns:
        table.add_column(column, justify="right")
    for row in listed:
        cells = [str(row["year"]), f"{row['parameters'] / 1e6:.3f}", f"{row['macs_256'] / 1e9:.2f}"]
        cells.append(str(row["receptive_field"] or "unbounded"))
        if "latency" in row:
            low, high = row["latency"]["quartiles_ms"]
            cells.append(f"{row['latency']['median_ms']:.1f} ({low:.1f}-{high:.1f})")
        table.add_row(row["name"], row["title"], row["paper"], *cells)
    return table
