"""The four ablations at full size through torch.compile with its default backend."""

import shutil

import pytest
import torch

from deblur_lit import load_network


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it imports its compiler
@pytest.mark.skipif(not (shutil.which("c++") or shutil.which("g++")), reason="torch.compile needs a C++ compiler here")
@pytest.mark.parametrize("row", ["baseline", "dffm", "msrm", "dffm_msrm"])
def test_the_compiled_row_computes_the_same(row: str) -> None:
    torch.manual_seed(0)
    network = load_network(row)
    image = torch.rand(1, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(network, fullgraph=True)
    for training in (False, True):
        network.train(training)
        torch.testing.assert_close(compiled(image).full, network(image).full, rtol=1e-3, atol=1e-4)
