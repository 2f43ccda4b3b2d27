"""Energy by the processor's own counter (RAPL), where the machine offers it: most servers do, most virtual machines do not."""

from __future__ import annotations

from pathlib import Path

RAPL = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules of all processor packages of the machine, other work and idling included.

    Args:
        root: where the kernel shows its power zones.

    Attributes:
        offered: whether there is a counter that may be read.
        words: what is measured, or why nothing is.
    """

    def __init__(self, root: Path = RAPL) -> None:
        zones = sorted(root.glob("intel-rapl:*")) if root.is_dir() else []
        packages = [zone for zone in zones if zone.name.count(":") == 1]
        self._zones = [(zone, int(limit)) for zone in packages if (limit := _number(zone / "max_energy_range_uj")) is not None]
        self._zones = [(zone, limit) for zone, limit in self._zones if _number(zone / "energy_uj") is not None]
        self.offered = bool(self._zones)
        if self.offered:
            self.words = "joules of the processor packages (RAPL), idling and other work included"
        elif packages:
            self.words = "not offered: the counters may not be read by this user"
        else:
            self.words = "not offered: this machine has no RAPL counters"

    def read(self) -> list[int]:
        """The counters now, in microjoules."""
        return [_number(zone / "energy_uj") or 0 for zone, _ in self._zones]

    def joules(self, before: list[int], after: list[int]) -> float | None:
        """Joules between two readings; a counter that began anew is taken into account. None where none is offered."""
        if not self.offered:
            return None
        pairs = zip(before, after, self._zones, strict=True)
        return sum((end - start) % (limit + 1) for start, end, (_, limit) in pairs) / 1e6


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
