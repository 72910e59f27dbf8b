"""A run on two hosts, which are network namespaces of this machine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_reproduce import write_gopro

from deblur_lit import runs

HOSTS = {"A": "10.77.0.1", "B": "10.77.0.2"}
SECONDS = 200  # after which a run is killed


def ip(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """Names of two namespaces, joined by a cable, with what stands before a command that runs there."""
    if not shutil.which("ip") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("network namespaces need root and the command ip")
    names = {host: f"deblur{os.getpid()}{host}" for host in HOSTS}
    cable = {host: f"v{os.getpid() % 10**6}{host}" for host in HOSTS}
    try:
        for name in names.values():
            if (made := ip("netns", "add", name)).returncode:
                pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        made = ip("link", "add", cable["A"], "type", "veth", "peer", "name", cable["B"])
        if made.returncode:
            pytest.skip(f"no virtual cables here: {made.stderr.strip()}")
        for host, name in names.items():
            ip("link", "set", cable[host], "netns", name)
            ip("-n", name, "addr", "add", f"{HOSTS[host]}/24", "dev", cable[host])
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", cable[host], "up")
        yield {names[host]: cable[host] for host in HOSTS}
    finally:
        for name in names.values():
            ip("netns", "del", name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for number, (split, sequence) in enumerate((("train", "a"), ("train", "b"), ("train", "c"), ("test", "t"))):
        write_gopro(tmp_path / "data/gopro", split, sequence, 2, seed=number)
    return tmp_path


def start(place: Path, name: str, cable: str, rank: int) -> "subprocess.Popen[str]":
    """Start torchrun on a host."""
    torchrun = f"""-m torch.distributed.run --nnodes=2 --nproc-per-node=1 --master-addr={HOSTS["A"]}
        --master-port=29512 --node-rank={rank} -m deblur_lit.train""".split()
    run = [
        "trainer=ddp_cpu",
        "trainer.devices=1",
        "trainer.num_nodes=2",
        "study=hosts",
        "ablation=dffm",
        "data=gopro",
        "data.val=[c]",
        "data.crop_size=16",
        "data.batch_size=2",
        "data.num_workers=0",
        "network.channels=4",
        "network.num_blocks=1",
        "trainer.max_epochs=2",
        "logger=csv",
        "variant=''",
    ]
    limit = ["timeout", "-k", "5", str(SECONDS)]
    return subprocess.Popen(
        ["ip", "netns", "exec", name, *limit, sys.executable, *torchrun, *run],
        cwd=place,
        env=os.environ | {"GLOO_SOCKET_IFNAME": cable, "OMP_NUM_THREADS": "1", "DATA_ROOT": "data"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.long
@pytest.mark.netns
def test_torchrun_trains_on_two_hosts_as_one_run(place: Path, hosts: dict[str, str]) -> None:
    processes = [start(place, name, cable, rank) for rank, (name, cable) in enumerate(hosts.items())]
    said = [process.communicate(timeout=SECONDS + 20)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    record = runs.read_record(place / "runs/hosts/gopro/dffm/seed0")
    assert (record["training"]["devices"], record["training"]["steps"]) == (2, 4)
    assert len(re.findall(r"(?m)^dffm: .* dB", "".join(said))) == 1  # the first process alone scores and speaks
