"""Machines of one run meet; here they are threads of one process."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deblur_lit.meeting import meet


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine(port: int, number: int) -> dict[str, str]:
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(number)}


def test_machines_meet_and_leave_the_port_free(port: int) -> None:
    def come(number: int) -> None:
        time.sleep(0.2 * ((number + 1) % 3))  # the first is neither the first nor the last to come
        meet(3, 30, machine(port, number))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(come, range(3)))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def test_a_machine_that_never_comes_is_named_by_those_that_wait(port: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(meet, 4, 1, machine(port, number)) for number in (0, 2))
        with pytest.raises(ValueError, match=rf"NODE_RANK=1, 3 did not come to 127.0.0.1:{port} within 1 s"):
            first.result()
        with pytest.raises(ValueError, match=r"machine NODE_RANK=2 waited 1 s .* or another machine did not come"):
            second.result()


def test_a_first_machine_that_never_comes_is_named(port: int) -> None:
    with pytest.raises(ValueError, match=rf"NODE_RANK=1 waited 1 s .* at 127.0.0.1:{port}, but NODE_RANK=0 or another"):
        meet(2, 1, machine(port, 1))


def test_a_port_in_use_is_named(port: int) -> None:
    with socket.socket() as other:
        other.bind(("", port))
        other.listen()
        with pytest.raises(OSError, match=rf"MASTER_PORT={port} cannot be opened .*in use"):
            meet(2, 1, machine(port, 0))


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        (
            {},
            "MASTER_ADDR, MASTER_PORT, NODE_RANK is not set: on each .* from 0 to 1, or start with torchrun",
        ),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1"}, "but NODE_RANK is not set"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "x", "NODE_RANK": "0"}, "MASTER_PORT=x, NODE_RANK=0: must be a port"),
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "2"}, "a machine from 0 to 1, for trainer.num_nodes=2"),
    ],
)
def test_a_machine_that_does_not_say_where_to_meet_is_told(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        meet(2, 1, environment)


@pytest.mark.parametrize("environment", [{"LOCAL_RANK": "1"}, {"TORCHELASTIC_RUN_ID": "x"}, {"SLURM_JOB_ID": "7"}])
def test_who_was_started_by_others_has_met_already(environment: dict[str, str]) -> None:
    meet(2, 1, environment)
    meet(1, 1, {})
