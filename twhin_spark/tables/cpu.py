"""The name of this machine's CPU, on which the bits of a sum depend."""

from __future__ import annotations

import platform
from pathlib import Path

_INFO = Path("/proc/cpuinfo")
_VECTORS = ("avx512f", "avx2", "avx", "asimd")  # OpenBLAS picks its kernels by the widest of them


def cpu_name() -> str:
    """Return the CPU's name and the widest vectors that it has, or that its hypervisor shows: `AMD EPYC with avx2`."""
    fields: dict[str, str] = {}
    if _INFO.exists():
        for line in _INFO.read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    widest = next((vectors for vectors in _VECTORS if vectors in flags), None)
    return f"{name} with {widest}" if widest else name
