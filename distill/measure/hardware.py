"""The machine and the packages that a measurement was made with. No host name, no user name, no paths."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("distill-toolkit", "torch", "transformers", "sentence-transformers", "onnxruntime", "onnx", "tokenizers", "numpy")
# What decides the speed of matrix products, in Linux's spelling.
FLAGS = (
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


def environment() -> dict[str, Any]:
    """Describe this machine, now.

    Returns:
        cpu, flags (of its instruction sets those that matter here), cores (that this process may use), cores_logical,
        cores_physical, cpu_quota (cores that the container may use, null without a limit), memory_gb (1e9 bytes; the
        container's limit where it is smaller), os, python, container (bool), load_before (1-minute load average),
        packages (name -> version, only those installed). Unknown values are null.
    """
    blocks = _cpuinfo()
    return {
        "cpu": _cpu_name(blocks),
        "machine": platform.machine(),
        "flags": _flags(blocks),
        "cores": available_cores(),
        "cores_logical": os.cpu_count(),
        "cores_physical": _physical_cores(blocks),
        "cpu_quota": _cpu_quota(),
        "memory_gb": _memory_gb(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "container": _in_container(),
        "load_before": load_average(),
        "packages": installed(PACKAGES),
    }


def available_cores() -> int:
    """How many logical cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """1-minute load average of the whole host, which counts our own work too."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def peak_rss_mb() -> float:
    """Most memory that this process has held at once, in 1e6 bytes.

    Linux's `ru_maxrss` would count the memory of the process that started this one; VmHWM does not.
    """
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if platform.system() == "Darwin" else 1024) / 1e6, 1)


def memory_now_mb() -> float | None:
    """What this process holds now, in 1e6 bytes, as the kernel counts it; None where it does not tell."""
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return None


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Name -> version of those of some packages that are installed."""
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _read(path: str) -> str:
    """A file of the system, "" where it is not there or may not be read."""
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


def _cpuinfo() -> list[dict[str, str]]:
    """/proc/cpuinfo: one mapping per logical core."""
    blocks = []
    for block in _read("/proc/cpuinfo").strip().split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        blocks.append({key.strip(): value.strip() for key, _, value in pairs if value})
    return [block for block in blocks if block]


def _cpu_name(blocks: list[dict[str, str]]) -> str | None:
    for key in ("model name", "Model", "Hardware"):
        for block in blocks:
            if block.get(key):
                return block[key]
    return platform.processor() or platform.machine() or None


def _flags(blocks: list[dict[str, str]]) -> list[str]:
    text = next((block.get("flags") or block.get("Features") or "" for block in blocks), "")
    return [flag for flag in FLAGS if flag in text.split()]


def _physical_cores(blocks: list[dict[str, str]]) -> int | None:
    cores = {(block.get("physical id"), block["core id"]) for block in blocks if "core id" in block}
    return len(cores) or None


def _cpu_quota() -> float | None:
    """Cores that the control group allows, None without a limit."""
    quota, period = [*_read("/sys/fs/cgroup/cpu.max").split(), "", ""][:2]
    if not quota:
        quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").strip()
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us").strip()
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return round(int(quota) / int(period), 2)


def _memory_gb() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    limit = _read("/sys/fs/cgroup/memory.max").strip() or _read("/sys/fs/cgroup/memory/memory.limit_in_bytes").strip()
    if limit.isdigit():
        total = min(total, int(limit))
    return round(total / 1e9, 1)


def _in_container() -> bool:
    """Whether this looks like a container: the marks that the common engines leave."""
    marks = ("docker", "kubepods", "containerd", "libpod", "lxc")
    return (
        Path("/.dockerenv").exists()
        or Path("/run/.containerenv").exists()
        or bool(os.environ.get("container"))  # noqa: SIM112 - systemd and podman spell it so
        or any(mark in _read("/proc/1/cgroup") for mark in marks)
    )
