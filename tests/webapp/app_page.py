"""What tests of the page share beside fixtures."""

import socket

TINY = "tiny"  # what the page calls its network


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
