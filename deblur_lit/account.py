"""Whether there is a wandb account here, and whether its server answers: asked before anything waits for it."""

import os
import threading
from pathlib import Path

ANSWER_SECONDS = 4.0  # how long a server may take


def has_account() -> bool:
    """Tell whether a key of wandb is at hand: in the environment, or left by `wandb login`."""
    netrc = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    known = netrc.is_file() and "wandb" in netrc.read_text(encoding="utf-8", errors="replace")
    return bool(os.environ.get("WANDB_API_KEY")) or known


def is_offline() -> bool:
    """Tell whether runs stay on this machine: as `WANDB_MODE` says, or else where there is no account."""
    if mode := os.environ.get("WANDB_MODE"):
        return mode != "online"
    return not has_account()


def why_unreachable(url: str, seconds: float = ANSWER_SECONDS) -> str | None:
    """Return why the server at a URL cannot be used, None if it answers as wandb does.

    Args:
        url: its address, such as `https://api.wandb.ai`.
        seconds: how long it may take, the look-up of its name included.
    """
    said = [f"{url} does not answer within {seconds:g} s"]

    def ask() -> None:
        said[:] = _ask(url, seconds)

    thread = threading.Thread(target=ask, daemon=True)  # a look-up that hangs is left behind
    thread.start()
    thread.join(seconds)
    return said[0] if said else None


def _ask(url: str, seconds: float) -> list[str]:
    import requests

    try:
        answer = requests.post(f"{url}/graphql", json={"query": "query { viewer { id } }"}, timeout=seconds)
    except requests.Timeout:
        return [f"{url} does not answer within {seconds:g} s"]
    except requests.RequestException as error:
        return [f"{url} cannot be reached ({type(error).__name__})"]
    if answer.status_code >= 500 or "json" not in answer.headers.get("Content-Type", ""):
        return [f"{url} answers {answer.status_code}, not as wandb does"]
    return []
