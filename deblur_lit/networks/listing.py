"""The table of all networks."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from deblur_lit.config import ABLATED_NETWORK, stems
from deblur_lit.networks.loading import describe, network_config, network_names


def list_networks() -> list[dict[str, Any]]:
    """Return name, title, paper, parameters and MACs (256x256, multiply-accumulates) of every network."""
    listed = []
    for name in network_names():
        config = network_config(name)
        ablation = name in stems("ablation")
        listed.append(
            {
                "name": name,
                "group": "ablation" if ablation else "network",
                "title": f"{ABLATED_NETWORK}: {config.ablation.title}" if ablation else config.card.title,
                "paper": config.card.paper,
                **{key: value for key, value in describe(config.network).items() if key != "target"},
            }
        )
    return listed


def print_networks(as_json: bool = False) -> None:
    """Print the table of all networks, for people or as JSON."""
    listed = list_networks()
    if as_json:
        print(json.dumps(listed, indent=1))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("name", "network", "paper"):
        table.add_column(column)
    for column in ("parameters, M", "GMACs at 256x256"):
        table.add_column(column, justify="right")
    for row in listed:
        cost = f"{row['parameters'] / 1e6:.3f}", f"{row['macs_256'] / 1e9:.2f}"
        table.add_row(row["name"], row["title"], row["paper"], *cost)
    Console().print(table)
