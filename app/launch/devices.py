"""Which GPUs there are, and which engine gets which part of them. Knows no model."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ALONE = 0.9  # vLLM's own default
SHARED = 0.45  # two engines on one GPU, a tenth left for contexts and fragmentation

_QUERY = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.used", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU as nvidia-smi reports it; memory in MiB."""

    index: str
    uuid: str
    name: str
    total_mib: int
    used_mib: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one engine runs; no GPUs means the CPU with that many OpenMP threads."""

    gpus: tuple[Gpu, ...] = ()
    memory_share: float = ALONE
    threads: int = 1

    @property
    def tensor_parallel(self) -> int:
        """GPUs that the model is spread over."""
        return len(self.gpus)


def _nvidia_smi() -> str:
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def find_gpus(environ: Mapping[str, str], query: Callable[[], str] = _nvidia_smi) -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves visible, in its order."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1", "NoDevFiles"):
        return ()
    found = []
    for line in query().splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 5 and cells[0].isdigit():
            # Unified-memory GPUs report [N/A]
            total, used = (int(cell) if cell.isdigit() else 0 for cell in cells[3:])
            found.append(Gpu(cells[0], cells[1], cells[2], total, used))
    if visible is None:
        return tuple(found)
    chosen = []
    for wanted in visible.split(","):
        chosen += [gpu for gpu in found if wanted.strip() == gpu.index or (wanted and gpu.uuid.startswith(wanted))][:1]
    return tuple(chosen)


def place(engines: int, gpus: Sequence[Gpu], share: float | None = None) -> list[Placement]:
    """Split the GPUs evenly between the engines; with fewer GPUs than engines they share one."""
    if not gpus:
        threads = max(1, cpu_count() // engines)
        return [Placement(threads=threads)] * engines
    if len(gpus) < engines:
        return [Placement(tuple(gpus), share or ALONE / engines)] * engines
    each = len(gpus) // engines
    # The number of attention heads divides by powers of two, seldom by 3, 5 or 6.
    width = 1 << (each.bit_length() - 1)
    return [Placement(tuple(gpus[i * each : i * each + width]), share or ALONE) for i in range(engines)]


def cpu_count(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """CPUs that this process may use: its affinity, and a container's quota where that is smaller."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cgroup.read_text().split()
        count = min(count, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        pass
    return count
