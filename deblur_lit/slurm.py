"""What a run must know of SLURM: which of its processes is the first, and how to go back into the queue."""

import os
import subprocess

RANKS = ("RANK", "GROUP_RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID")  # of torchrun, Lightning and srun


def is_first_process() -> bool:
    """Tell whether this process is the first of its run, over all machines."""
    return all(int(os.environ.get(name) or 0) == 0 for name in RANKS)


def requeue() -> str | None:
    """Put this SLURM job back into the queue, where it continues from its checkpoint.

    Returns:
        What happened, None outside of SLURM and where submitit, which started us, does it.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or "SUBMITIT_EXECUTOR" in os.environ:
        return None
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"job {job} could not be put back into the queue: {error}"
    if done.returncode:
        return f"job {job} could not be put back into the queue: {done.stderr.strip()}"
    return f"job {job} is in the queue again"
