"""A container's words on this machine: the same, but for addresses and paths.

In a container a program listens on 0.0.0.0 and finds the others by name, at fixed ports. Here all
listen on 127.0.0.1, each at a port that was free.
"""

from __future__ import annotations

import random
import re
import socket
from pathlib import Path

from stack.compose import Service

OURS = range(20_000, 32_768)
"""Ports below the first that Linux gives to clients by default."""
TEXT = {".yaml", ".yml", ".json"}
_APART = re.compile(r"host: 0\.0\.0\.0(\s+)port: (\d+)")
"""The Collector's own metrics: host and port on lines of their own."""


class Places:
    """Which local port stands for which port of which service."""

    def __init__(self, names: list[str]) -> None:
        everyone = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
        self._address = re.compile(
            rf"(?<![\w.-])(0\.0\.0\.0|127\.0\.0\.1|{everyone}):(\d{{2,5}})\b"
        )
        self._ports: dict[tuple[str, int], int] = {}

    def port(self, service: str, port: int) -> int:
        """Return the local port."""
        if (service, port) not in self._ports:
            self._ports[service, port] = free_port(set(self._ports.values()))
        return self._ports[service, port]

    def translate(self, text: str, speaker: str) -> str:
        """Replace each address in what `speaker` says; its own are 0.0.0.0 and loopback."""

        def address(match: re.Match[str]) -> str:
            name, port = match[1], int(match[2])
            owner = speaker if name[0].isdigit() else name
            return f"127.0.0.1:{self.port(owner, port)}"

        def apart(match: re.Match[str]) -> str:
            return f"host: 127.0.0.1{match[1]}port: {self.port(speaker, int(match[2]))}"

        return self._address.sub(address, _APART.sub(apart, text))


def free_port(taken: set[int]) -> int:
    """Return a port of 127.0.0.1 on which nobody listens and that we have not given away.

    It is none of those that the kernel gives to clients (ip_local_port_range in ip(7)): one of them
    would have it while its service is down, and the service could not come back.
    """
    while True:
        port = random.choice(OURS)  # noqa: S311 - so that two rigs seldom meet
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            return port


def furnish(service: Service, places: Places, folder: Path) -> dict[str, Path]:
    """Lay a service's mounts out below `folder`, texts translated; return where each now is."""
    laid = {}
    for target in service.volumes:
        laid[target] = folder / target.lstrip("/")
        laid[target].mkdir(parents=True, exist_ok=True)
    for target, source in service.binds.items():
        laid[target] = place = folder / target.lstrip("/")
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        if source.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        for file in files:
            copy = place if source.is_file() else place / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            data = file.read_bytes()
            if file.suffix in TEXT:
                text = places.translate(data.decode(), service.name)
                for path in service.volumes:
                    text = text.replace(f" {path}\n", f" {laid[path]}\n")
                data = text.encode()
            copy.write_bytes(data)
    return laid


def localise(word: str, service: Service, places: Places, laid: dict[str, Path]) -> str:
    """Translate one word of a command: addresses, and paths below a mount."""
    word = places.translate(word, service.name)
    for target, place in sorted(laid.items(), key=lambda item: -len(item[0])):
        found = re.sub(rf"(^|=){re.escape(target)}(?=/|$)", lambda m: m[1] + str(place), word)  # noqa: B023 - used at once
        if found != word:
            return found
    return word
