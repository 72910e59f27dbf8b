"""Machines of one run wait for each other here, so that one that never comes is named and not waited for by all."""

import os
import socket
import time
from collections.abc import Mapping
from datetime import timedelta

NEEDED = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
STARTED_TOGETHER = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")  # torchrun and SLURM have met already


def meet(machines: int, seconds: float, environment: Mapping[str, str] = os.environ) -> None:
    """Wait until all machines of a run have come; the first process of each calls this before the run starts.

    Does nothing for one machine, in the further processes of a machine, and where torchrun or SLURM started the run.
    The machine with NODE_RANK=0 listens at MASTER_PORT until all are there, then leaves the port to the run itself.

    Args:
        machines: of the run, `trainer.num_nodes`.
        seconds: to wait for the others, `trainer.meeting_seconds`.
        environment: says where and as which machine to meet.

    Raises:
        ValueError: for a machine that does not say where to meet, and naming those that did not come in time.
        OSError: if the port is in use.
    """
    if machines == 1 or "LOCAL_RANK" in environment or any(name in environment for name in STARTED_TOGETHER):
        return
    if missing := [name for name in NEEDED if name not in environment]:
        raise ValueError(
            f"trainer.num_nodes={machines}, but {', '.join(missing)} is not set: on each machine set MASTER_ADDR and "
            f"MASTER_PORT of the first one, and NODE_RANK from 0 to {machines - 1}, or start with torchrun"
        )
    address, port, own = (environment[name] for name in NEEDED)
    if not (port.isdigit() and own.isdigit() and int(own) < machines):
        raise ValueError(
            f"MASTER_PORT={port}, NODE_RANK={own}: must be a port, and a machine from 0 to {machines - 1}, "
            f"for trainer.num_nodes={machines}"
        )
    if own == "0":
        _wait_for_all(address, int(port), machines, seconds)
    else:
        _join(address, int(port), own, seconds)


def _wait_for_all(address: str, port: int, machines: int, seconds: float) -> None:
    from torch.distributed import DistStoreError, TCPStore  # type: ignore[attr-defined]

    with socket.socket() as probe:  # torch says only that it failed
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise OSError(f"MASTER_PORT={port} cannot be opened ({error.strerror}): choose another port") from error
    limit = timedelta(seconds=seconds)
    store = TCPStore(address, port, is_master=True, timeout=limit, wait_for_workers=False)
    others = {str(number) for number in range(1, machines)}
    print(f"waiting for machines NODE_RANK={_listed(others)} at {address}:{port}", flush=True)
    deadline = time.monotonic() + seconds
    while others and time.monotonic() < deadline:
        others -= {number for number in others if store.check([f"here{number}"])}
        time.sleep(0.05)
    if others:
        raise ValueError(
            f"machines with NODE_RANK={_listed(others)} did not come to {address}:{port} within {seconds:g} s "
            "(trainer.meeting_seconds): start the same command there, or choose a smaller trainer.num_nodes"
        )
    store.set("all", "here")
    try:
        store.wait([f"gone{number}" for number in range(1, machines)], limit)  # before the port is left
    except DistStoreError as error:
        raise ValueError(f"a machine that had come to {address}:{port} was lost: {error}") from error


def _join(address: str, port: int, own: str, seconds: float) -> None:
    from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]

    limit = timedelta(seconds=seconds)
    try:
        store = TCPStore(address, port, is_master=False, timeout=limit, wait_for_workers=False)
        store.set(f"here{own}", socket.gethostname())
        store.wait(["all"], limit)
        store.set(f"gone{own}", "")
    except DistError as error:
        raise ValueError(
            f"machine NODE_RANK={own} waited {seconds:g} s (trainer.meeting_seconds) at {address}:{port}, but "
            f"NODE_RANK=0 or another machine did not come: {str(error).splitlines()[0]}"
        ) from error


def _listed(machines: set[str]) -> str:
    return ", ".join(sorted(machines, key=int))
