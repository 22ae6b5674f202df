"""What a daemon takes at one moment: memory, files, threads, tasks, buffer; as the kernel and its metrics say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. Sizes are in MB of 1000 * 1000 bytes, `at_s` in seconds since the first look."""

    at_s: float
    replicas: float
    rss_mb: float
    anon_mb: float
    files: float
    threads: float
    tasks: float
    buffer_mb: float
    printed: float

    def as_json(self) -> dict[str, float]:
        """For the log."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def look(pid: int, metrics: Mapping[str, float], buffer: Path, at_s: float, printed: int) -> Sample:
    """One sample. Raises OSError when the process has ended."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return Sample(
        at_s=at_s,
        replicas=sum(value for name, value in metrics.items() if name.startswith("shipper_replicas{")),
        rss_mb=_kilobytes(status["VmRSS"]) / 1000,
        anon_mb=_kilobytes(status["RssAnon"]) / 1000,
        files=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        threads=int(status["Threads"]),
        tasks=metrics.get("shipper_tasks", 0.0),
        buffer_mb=_size(buffer) / 1e6,
        printed=printed,
    )


def _kilobytes(text: str) -> float:
    return int(text.split()[0]) * 1.024


def _size(folder: Path) -> int:
    total = 0
    for path in folder.glob("buffer.*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # SQLite removes and makes its own as it likes
            continue
    return total
