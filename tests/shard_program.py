"""Train with weights shared out among gloo processes by torch's fully_shard: `python shard_program.py FILE STEPS`."""

import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from deblur_lit import load_network
from deblur_lit.config import build, compose


def train(steps: int, rank: int, ranks: int) -> dict[str, torch.Tensor]:
    """Train on this rank's share of four images; return the whole weights, and how many this rank holds."""
    torch.manual_seed(0)
    network = load_network("dffm_msrm", overrides=["channels=4", "num_blocks=1"]).train()
    loss = build(compose("train").loss)
    if ranks > 1:
        fully_shard(network, mesh=init_device_mesh("cpu", (ranks,)))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
    images = torch.rand(2, 4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    blur, sharp = images[:, rank * 4 // ranks : (rank + 1) * 4 // ranks]
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(loss(network(blur), sharp).values())).sum().backward()
        optimizer.step()
    state = network.state_dict()
    held = sum(value.to_local().numel() if isinstance(value, DTensor) else value.numel() for value in state.values())
    whole = {key: value.full_tensor() if isinstance(value, DTensor) else value for key, value in state.items()}
    return {**whole, "held": torch.tensor(held)}


if __name__ == "__main__":
    dist.init_process_group("gloo")
    found = train(int(sys.argv[2]), dist.get_rank(), dist.get_world_size())
    if dist.get_rank() == 0:
        torch.save(found, sys.argv[1])
    dist.destroy_process_group()
