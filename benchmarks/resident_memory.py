"""What a process holds in memory, by the kernel's count."""

from pathlib import Path


def resident_memory(field: str) -> float:
    """Memory of this process now (VmRSS) or at its highest (VmHWM), MiB.

    Not getrusage: its maximum also counts the parent's memory at the time this process was started.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024
