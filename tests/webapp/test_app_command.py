"""`deblur-lit app` as a command: what it refuses, what it says, and that it ends without remains."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from app_page import free_port

from deblur_lit.app import command
from deblur_lit.app.restoring import Limits, Restorer

REPO = Path(__file__).resolve().parents[2]
SLOW = {"torch", "gradio", "lightning", "kornia", "albumentations", "skimage", "cv2", "hydra", "wandb"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--share"], "--share"),
        (["--port", "0"], "'0' is no port"),
        (["--port", "http"], "'http' is no port"),
        (["--max-megapixels", "0"], "'0' megapixels"),
        (["--max-megapixels", "nan"], "'nan' megapixels"),
        (["--max-size", "much"], "'much' is no memory size"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_a_wrong_word_is_refused_by_name(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(words)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "mimo_unet"], "has random weights without --checkpoint"),
        (["--network", "mimo_unett", "--checkpoint", "x"], "mimo_unet"),
        (["--network", "mimo_unet", "--checkpoint", "nowhere.pkl"], r"nowhere\.pkl: there are no weights"),
        (["--checkpoint", "file.pkl", "--network", "mimo_unet"], "needs --network NAME"),
    ],
)
def test_networks_and_weights_have_to_go_together(words: list[str], said: str) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        command.main(words)


def test_each_checkpoint_takes_the_network_before_it() -> None:
    words = ["--checkpoint", "folder", "--network", "dmphn", "--checkpoint", "a", "--network", "unet"]
    options = command.parser().parse_args([*words, "--checkpoint", "b"])
    assert [one.label for one in options.chosen] == ["folder", "dmphn, a", "unet, b"]
    assert [one.network for one in options.chosen] == [None, "dmphn", "unet"]
    assert options.network is None


def test_networks_are_offered_by_name(weights: Path) -> None:
    chosen = [command.Chosen(None, weights)]
    assert [name for name in command.load(chosen) if name != command.SHIPPED_NAME] == [str(weights)]


def test_the_extra_is_named_where_it_is_missing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'deblur_lit\[demo\]'"):
        command.main(["--checkpoint", str(weights)])


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Gradio
def test_a_port_that_is_taken_is_named(restorer: Restorer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ValueError, match=rf"127\.0\.0\.1:{port} cannot be listened on; name another --port"),
            command.serving(Restorer({}, Limits(1, 1)), port=port),
        ):
            pass


@pytest.mark.parametrize("words", [["--help"], ["--checkpoint", "nowhere"]])
def test_help_and_mistakes_load_nothing_slow(words: list[str]) -> None:
    program = (
        "import sys, contextlib\nfrom deblur_lit.cli import main\n"
        f"with contextlib.suppress(SystemExit): main(['app', *{words!r}])\n"
        "print('loaded', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPO)
    loaded = set(done.stdout.splitlines()[-1].split()[1:])
    assert "deblur_lit" in loaded
    assert not loaded & SLOW


@pytest.mark.parametrize(("host", "open_to_all"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_it_serves_until_it_is_told_to_end_and_leaves_nothing(
    host: str, open_to_all: bool, weights: Path, tmp_path: Path
) -> None:
    words = ["app", "--checkpoint", str(weights), "--host", host, "--port", str(free_port()), "--device", "cpu"]
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **proxies, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPO)}
    environment.pop("GRADIO_TEMP_DIR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "deblur_lit.cli", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.endswith(" shows the page; Ctrl-C ends it\n"), server.communicate()
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert "Deblur a photograph" in direct.open(f"http://127.0.0.1:{words[6]}/config", timeout=20).read().decode()
        assert len(list(tmp_path.glob("deblur-lit-app.*"))) == 1
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=30)
    assert (server.returncode, out) == (0, "")
    assert ("without a password" in err) == open_to_all
    assert "Traceback" not in err
    assert list(tmp_path.glob("deblur-lit-app.*")) == []
