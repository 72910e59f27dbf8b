"""Runs folders, empty and finished."""

from pathlib import Path

import pytest
from run_store import Store

RIVALS = ("deepdeblur", "svrnn", "deblurgan_v2", "srn", "dbgan", "mt_rnn", "dmphn")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty runs folder."""
    return Store(tmp_path / "runs")


@pytest.fixture
def mini(store: Store) -> Store:
    """A finished Table 1 on mini: row 0, two trained rows, and reasons for the rest."""
    store.write("blur", None, 24.0, 0.75)
    store.write("dffm_msrm", 0, 25.4, 0.805, changes={"dirty": True})
    store.write("mimo_unet", 0, 24.31, 0.766)
    store.missing({row: f"looked for CHECKPOINTS/{row}.* and CHECKPOINTS/{row}/" for row in RIVALS})
    return store
