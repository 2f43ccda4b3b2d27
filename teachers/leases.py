"""Claims on texts among machines that share no locks, only a place where an object can be created once.

A claim is an object `claims/<hash of the texts>-<turn>`. Its owner writes it again every BEAT seconds; where it has not changed
for LEASE seconds, by the clock of who looks, its owner is taken for dead, and the next turn may be claimed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from .claims import Owner
from .line import Gone, Line

BEAT = 20.0
"""Seconds after which the owner of a claim shows that it lives."""
LEASE = 120.0
"""Seconds without such a sign after which a claim counts no more."""

_NAME = re.compile(r"[0-9a-f]{32}-[0-9]{1,9}")


class Leases:
    """The claims on the store of one teacher.

    Args:
        line: to the store.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._mine: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, tuple[int, float]] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def taken(self) -> tuple[np.ndarray, list[Owner]]:
        """What other machines have claimed, S16 [n], and who; claims that have lapsed do not count."""
        found, owners = [np.empty(0, dtype="S16")], []
        for _, value, lapsed in self._others():
            if not lapsed:
                found.append(np.frombuffer(bytes.fromhex(value["keys"]), dtype="S16"))
                owners.append(Owner(value["host"], value["pid"], value["since"]))
        return np.concatenate(found), owners

    def claim(self, keys: np.ndarray) -> str | None:
        """Claim the texts of these keys, S16 [n].

        Returns:
            The claim's name; "" where the place cannot be reached, so that there is none; None where another machine has them.
        """
        texts = hashlib.sha256(np.sort(keys).tobytes()).hexdigest()[:32]
        old = []
        for name, _, lapsed in self._others():
            if name.startswith(texts):
                if not lapsed:
                    return None
                old.append(name)
        mine = f"{texts}-{1 + max((int(name.rpartition('-')[2]) for name in old), default=-1)}"
        value = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.time(), "beat": 0, "keys": keys.tobytes().hex()}
        try:
            if not self._line.create(f"claims/{mine}", json.dumps(value).encode()):
                return None
            self._mine[mine] = value
            for name in old:
                self._line.remove(f"claims/{name}")
        except Gone:
            if mine not in self._mine:
                return ""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
        return mine

    def release(self, name: str) -> None:
        """Let go of a claim."""
        self._mine.pop(name, None)
        try:
            self._line.remove(f"claims/{name}")
        except Gone:  # it will lapse
            return

    def close(self, *, finished: bool) -> None:
        """Let go of every claim; where all is `finished`, of what the dead have left too."""
        self._ended.set()
        for name in [*self._mine, *(name for name, _, lapsed in self._others() if lapsed and finished)]:
            self.release(name)

    def _others(self) -> Iterator[tuple[str, dict[str, Any], bool]]:
        """Other machines' claims: name, what is in it, and whether it has lapsed."""
        try:
            for name in self._line.names("claims"):
                if name in self._mine or not _NAME.fullmatch(name):
                    continue
                value = _value(self._line.read(f"claims/{name}"))
                beat, since = self._seen.get(name, (None, 0.0))
                if beat != value["beat"]:
                    since = time.monotonic()
                    self._seen[name] = (value["beat"], since)
                yield name, value, time.monotonic() - since > LEASE
        except Gone:
            return

    def _beat(self) -> None:
        """Runs in a thread: show that the claims of this machine are held."""
        while not self._ended.wait(BEAT):
            for name, value in list(self._mine.items()):
                value["beat"] += 1
                try:
                    self._line.write(f"claims/{name}", json.dumps(value).encode())
                except Gone:
                    break
                if name not in self._mine:  # let go of meanwhile
                    self.release(name)


def _value(data: bytes | None) -> dict[str, Any]:
    """What is in a claim; one that is not whole is nobody's, and lapses."""
    try:
        value = json.loads(data or b"")
        bytes.fromhex(value["keys"])
        known = {"host": str, "pid": int, "since": float, "beat": int, "keys": str}
        return {name: kind(value[name]) for name, kind in known.items()}
    except (ValueError, KeyError, TypeError):
        return {"host": "another machine", "pid": 0, "since": time.time(), "beat": -1, "keys": ""}
