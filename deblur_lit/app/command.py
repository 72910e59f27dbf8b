"""`deblur-lit app`: the page, served until Ctrl-C."""

import argparse
import ipaddress
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur_lit.predict.files import shown
from deblur_lit.predict.options import memory_bytes, weights_of

if TYPE_CHECKING:
    from deblur_lit.app.restoring import Restorer
    from deblur_lit.networks.blocks import DeblurNetwork

MEGAPIXELS, SIZE = 50.0, "100M"  # of one photograph, by default
SHIPPED_NAME = "deblur_lit, photographs"
_DESCRIPTION = """Serve a page on which photographs are restored: drop one, compare before and after, download the
result without loss and with its metadata. It works offline and tells nobody. Photographs are restored one after the
other; they and their results are removed when the page is closed, and all of them when the command ends (Ctrl-C)."""


class Chosen(NamedTuple):
    """A network that was named: as in `deblur-lit predict`."""

    network: str | None
    checkpoint: Path

    @property
    def label(self) -> str:
        """What the page calls it."""
        return f"{self.network}, {shown(self.checkpoint)}" if self.network else shown(self.checkpoint)


class _Weights(argparse.Action):
    """Let each --checkpoint take the --network before it."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        namespace.chosen = [*namespace.chosen, Chosen(namespace.network, values)]
        namespace.network = None


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of the command."""
    made = argparse.ArgumentParser(prog="deblur-lit app", description=_DESCRIPTION)
    made.set_defaults(chosen=[])
    network = made.add_argument_group("networks that the page offers, beside the one that comes with the package")
    network.add_argument("--network", metavar="NAME", help="one of `deblur-lit networks`; then its --checkpoint")
    network.add_argument("--checkpoint", action=_Weights, type=Path, metavar="F", help="its weights: ours, or the "
                         "authors' published file; without a --network before it a folder with config.yaml and "
                         "model.safetensors. Both may be given again for further networks")  # fmt: skip
    machine = made.add_argument_group("machine")
    machine.add_argument("--memory", type=memory_bytes, metavar="2G", help="most that may be taken (default: half of "
                         "what is free)")  # fmt: skip
    machine.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: a GPU "
                         "where there is one")  # fmt: skip
    server = made.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine "
                        "alone; 0.0.0.0 lets everybody in who reaches it, without a password)")  # fmt: skip
    server.add_argument("--port", type=_port, metavar="P", help="default: the first free one from 7860 on")
    server.add_argument("--max-megapixels", type=_megapixels, default=MEGAPIXELS, metavar="M",
                        help=f"most of one photograph (default: {MEGAPIXELS:g})")  # fmt: skip
    server.add_argument("--max-size", type=memory_bytes, default=memory_bytes(SIZE), metavar="S",
                        help=f"most of its file (default: {SIZE})")  # fmt: skip
    return made


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)


def _megapixels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 500:
        raise argparse.ArgumentTypeError(f"{text!r} megapixels: a number above 0, up to 500")
    return value


def main(arguments: Sequence[str]) -> int:
    """Run `deblur-lit app <arguments>` until it is interrupted and return its exit status.

    Raises:
        ValueError, OSError: for what the user can put right; the message is one line.
    """
    options = parser().parse_args(arguments)
    for chosen in options.chosen:
        weights_of(*chosen)
    if options.network is not None:
        weights_of(options.network, None)  # refuses it
    if find_spec("gradio") is None:
        raise ValueError("deblur-lit app needs Gradio: pip install 'deblur_lit[demo]'")
    from deblur_lit.app.restoring import Limits, Restorer

    networks = load(options.chosen)
    limits = Limits(round(1e6 * options.max_megapixels), options.max_size)
    restorer = Restorer(networks, limits, options.device, options.memory)
    warnings.filterwarnings("ignore", "the tile at")  # the page tells how many
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    signal.signal(signal.SIGINT, lambda number, frame: ended.set())
    with serving(restorer, options.host, options.port) as url:
        _say(url, options.host, networks)
        ended.wait()
    return 0


def load(chosen: Sequence[Chosen]) -> "dict[str, DeblurNetwork]":
    """Build the networks that the page offers, by their names there: the one that comes with the package first.

    Raises:
        ValueError, OSError: if weights do not fit or cannot be read.
    """
    from deblur_lit.predict.command import load_chosen
    from deblur_lit.pretrained import SHIPPED, WEIGHTS, load_folder

    networks = {SHIPPED_NAME: load_folder(SHIPPED)} if (SHIPPED / WEIGHTS).is_file() else {}
    for one in chosen:
        network = load_chosen(*one)
        assert network is not None, "it has a checkpoint"
        networks[one.label] = network
    return networks


@contextmanager
def serving(restorer: "Restorer", host: str = "127.0.0.1", port: int | None = None) -> Iterator[str]:
    """Serve the page inside, and give its address. Afterwards no file of it is left.

    Raises:
        ValueError: if the address cannot be listened on.
    """
    from deblur_lit.app.sessions import Sessions, scratch

    with scratch() as folder, _environment(folder / "uploads", host):
        import gradio as gr

        from deblur_lit.app.page import CSS, page

        results = folder / "results"
        results.mkdir()
        sessions = Sessions(results)
        made = page(restorer, sessions, SHIPPED_NAME in restorer.networks)
        gr.set_static_paths([results])  # served where they lie: Gradio keeps no copies of them
        theme = gr.themes.Base(
            primary_hue="slate", neutral_hue="gray", font=["system-ui", "sans-serif"], font_mono=["monospace"]
        )
        try:
            _, url, _ = made.launch(
                share=False, server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, ssr_mode=False,
                mcp_server=False, pwa=False, run_history=False, enable_monitoring=False, footer_links=[],
                max_file_size=restorer.limits.bytes, css_paths=CSS, theme=theme,
            )  # fmt: skip
        except OSError as error:
            where = f"{host}:{port}" if port else host
            raise ValueError(f"{where} cannot be listened on; name another --port or --host") from error
        try:
            yield url
        finally:
            sessions.end_all()
            made.close(verbose=False)


@contextmanager
def _environment(uploads: Path, host: str) -> Iterator[None]:
    """Inside, Gradio keeps uploads in a folder, asks nobody on the internet, and finds this machine past any proxy."""
    direct = [os.environ.get("no_proxy", ""), host, "127.0.0.1", "localhost"]
    wanted = {
        "GRADIO_TEMP_DIR": str(uploads), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "no_proxy": ",".join(filter(None, direct)),
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _say(url: str, host: str, networks: "dict[str, DeblurNetwork]") -> None:
    print(f"{url} shows the page; Ctrl-C ends it", flush=True)
    if SHIPPED_NAME not in networks:
        rest = "" if networks else ": nothing can be restored; name others by --network and --checkpoint"
        print(f"this copy of deblur_lit came without weights{rest}", file=sys.stderr)
    if not _is_loopback(host):
        print(f"{host}: everybody who reaches this machine can use the page, without a password", file=sys.stderr)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
