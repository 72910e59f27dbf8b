"""The page: what it shows, and what happens when something is clicked."""

import logging
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gradio as gr

from deblur_lit.app.restoring import TILES, Options, Restorer, StoppedError, describe, preview
from deblur_lit.app.sessions import LONGEST, Sessions
from deblur_lit.predict.command import reason
from deblur_lit.predict.deblurrer import TTA
from deblur_lit.predict.torch_backend import PRECISIONS

CSS = Path(__file__).with_suffix(".css")
WAITING = 20  # photographs in the queue, from which on one is told to come back later
_SWEEP = 600  # seconds between looks for uploads that nobody has worked on for `LONGEST`
_NO_WEIGHTS = "<b>This copy of deblur_lit came without weights</b>"
_OTHERS = ": the page offers what it was started with."
_NOTHING = """, so that nothing can be restored. Start the page with others:
<code>deblur-lit app --network NAME --checkpoint FILE</code>"""
_EMPTY = "Drop a photograph to begin."
_HEIGHT = 560  # most pixels of the pictures on the page
_T = TypeVar("_T")
_TTA_LABELS = {"none": "off", "rot4": "4 views", "x8": "8 views"}


def page(restorer: Restorer, sessions: Sessions, shipped: bool) -> gr.Blocks:
    """Build the page.

    Args:
        restorer: what it offers.
        sessions: where files are.
        shipped: whether the network that comes with the package is among the networks.
    """
    swept = (_SWEEP, LONGEST)
    with gr.Blocks(title="deblur_lit", analytics_enabled=False, delete_cache=swept, fill_width=True) as made:
        gr.HTML(_introduction(restorer), elem_id="introduction", padding=False)
        if not shipped:
            gr.HTML(_NO_WEIGHTS + (_OTHERS if restorer.networks else _NOTHING), elem_id="notice", padding=False)
        with gr.Row(equal_height=False):
            parts = _parts(list(restorer.networks))
        _connect(made, parts, _Actions(restorer, sessions))
    return made.queue(max_size=WAITING, default_concurrency_limit=1)


class _Parts(NamedTuple):
    """What is on the page."""

    file: Any
    network: Any
    options: list[Any]
    go: Any
    stop: Any
    download: Any
    said: Any
    given: Any
    pair: Any


def _parts(networks: list[str]) -> _Parts:
    """Lay out the page: choices on the left, pictures on the right."""
    with gr.Column(scale=1, min_width=300):
        file = gr.File(label="Photograph", height=140, elem_id="file")
        first = networks[0] if networks else None
        network = gr.Dropdown(networks, value=first, label="Network", visible=len(networks) > 1)
        go = gr.Button("Deblur", variant="primary", interactive=False, elem_id="go")
        stop = gr.Button("Stop", visible=False, elem_id="stop")
        download = gr.DownloadButton("Download the result", visible=False, elem_id="download")
        with gr.Accordion("Options", open=False, elem_id="options"):
            options = _options()
    with gr.Column(scale=3, min_width=320):
        said = gr.HTML(_EMPTY, elem_id="said", padding=False)
        given = gr.Image(
            label="Given", format="png", interactive=False, show_label=False, buttons=["fullscreen"],
            visible=False, elem_id="given",
        )  # fmt: skip
        pair = gr.ImageSlider(
            label="Before and after", type="filepath", format="png", interactive=False, show_label=False,
            buttons=["fullscreen"], max_height=_HEIGHT, visible=False, elem_id="pair",
        )  # fmt: skip
    return _Parts(file, network, options, go, stop, download, said, given, pair)


def _connect(made: gr.Blocks, parts: _Parts, act: "_Actions") -> None:
    """Say what happens when something is dropped, clicked or left; clients may call `/deblur` alone."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    views = [parts.given, parts.pair, parts.download]
    shown, buttons = [parts.said, parts.go, *views], [parts.go, parts.stop]
    dropped = parts.file.upload(act.look, parts.file, shown, api_visibility="private", show_progress_on=parts.said)
    dropped.failure(_empty, None, shown, **private)
    parts.file.clear(act.forget, None, shown, queue=False, **private)
    begun = parts.go.click(_working, None, buttons, queue=False, **private)
    running = begun.then(
        act.deblur, [parts.file, parts.network, *parts.options], [parts.pair, parts.download, parts.said],
        api_name="deblur", show_progress_on=parts.said,
    )  # fmt: skip
    running.success(_done, None, [*buttons, *views], **private)
    running.failure(_idle, None, buttons, **private)
    parts.stop.click(act.stop, None, None, queue=False, **private)
    made.unload(act.leave)


def _introduction(restorer: Restorer) -> str:
    return f"""<h1>Deblur a photograph</h1>
<p>JPEG, PNG, TIFF or WebP, 8 or 16 bit, up to {restorer.limits}. It goes to the machine that runs this page and no
further. It is removed there, with its result, when another one is dropped or the page is closed.</p>"""


def _options() -> list[gr.components.Component]:
    strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", info="share of the change that is made")
    views = [(_TTA_LABELS[name], name) for name in TTA]
    tta = gr.Radio(views, value="none", label="Mean over views", info="turned and mirrored; takes 4 or 8 times as long")
    tile = gr.Dropdown(list(TILES), value="auto", label="Tiles", info="side in pixels; auto fits them to the memory")
    precision = gr.Radio(list(PRECISIONS), value="fp32", label="Precision", info="bf16 is faster where it is supported")
    tlc = gr.Checkbox(label="Local pools (TLC)", info="for networks that pool whole images")
    return [strength, tta, tile, precision, tlc]


class _Actions:
    """What happens on the page; every mistake is a sentence on it."""

    def __init__(self, restorer: Restorer, sessions: Sessions) -> None:
        self.restorer, self.sessions = restorer, sessions

    def look(self, file: str, request: gr.Request) -> list[Any]:
        """Show a photograph that was dropped, and forget the one before."""
        session, source = _session(request), Path(file)
        self.sessions.end(session, keep=source)  # which may be the same file again
        self.sessions.begin(session, source)

        def read() -> list[Any]:
            photo = self.restorer.read(source)
            shown = gr.Image(value=str(preview(photo, self.sessions.result_folder(session))), visible=True)
            able = gr.Button(interactive=bool(self.restorer.networks))
            return [describe(source.name, photo), able, shown, *_hidden()]

        return _saying(read, source)

    def forget(self, request: gr.Request) -> list[Any]:
        """Remove the photograph and what was made of it."""
        self.sessions.end(_session(request))
        return _empty()

    def deblur(
        self,
        file: str | None,
        network: str | None,
        strength: float,
        tta: str,
        tile: str,
        precision: str,
        tlc: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 that is how Gradio passes it
    ) -> tuple[tuple[str, str], str, str]:
        """Restore a photograph: returns pictures before and after, the file with all its metadata, and words on it."""
        if file is None:
            raise gr.Error("Drop a photograph first.", print_exception=False)
        if network is None:
            raise gr.Error(_NO_WEIGHTS + _NOTHING, print_exception=False)
        session, source = _session(request), Path(file)
        stop = self.sessions.begin(session, source)
        options = Options(network, strength, tta, tile, precision, tlc)

        def restore() -> tuple[tuple[str, str], str, str]:
            folder = self.sessions.result_folder(session)
            done = self.restorer.restore(source, options, folder, stop, lambda share, what: progress(share, desc=what))
            return (str(done.before), str(done.after)), str(done.download), done.said

        return _saying(restore, source)

    def stop(self, request: gr.Request) -> None:
        """Stop what this page is working on."""
        self.sessions.stop(_session(request))

    def leave(self, request: gr.Request) -> None:
        """Remove the files of a page that was closed."""
        self.sessions.end(_session(request))


def _session(request: gr.Request) -> str:
    return request.session_hash or ""


def _empty() -> list[Any]:
    return [_EMPTY, gr.Button(interactive=False), gr.Image(value=None, visible=False), *_hidden()]


def _hidden() -> list[Any]:
    return [gr.ImageSlider(value=None, visible=False), gr.DownloadButton(value=None, visible=False)]


def _working() -> list[Any]:
    return [gr.Button(visible=False), gr.Button(visible=True)]


def _idle() -> list[Any]:
    return [gr.Button(visible=True), gr.Button(visible=False)]


def _done() -> list[Any]:
    return [*_idle(), gr.Image(visible=False), gr.ImageSlider(visible=True), gr.DownloadButton(visible=True)]


def _saying(act: Callable[[], _T], source: Path) -> _T:
    """Do something, and say on the page why it cannot be done.

    Raises:
        gr.Error: with the reason in one line.
    """
    try:
        return act()
    except StoppedError as error:
        raise gr.Error("Stopped.", duration=5, print_exception=False) from error
    except Exception as error:
        if not isinstance(error, ValueError | OSError | MemoryError):
            logging.getLogger(__name__).exception("%s", source.name)  # a mistake of ours: the page shows its last line
        message = escape(f"{source.name}: {reason(error, source)}")
        raise gr.Error(message, duration=None, print_exception=False) from error
