"""What deploy/compose.yaml says, read by Docker's own library."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack.programs import COMPOSE, ROOT

FILE = ROOT / "deploy" / "compose.yaml"


@dataclass(frozen=True)
class Service:
    """A container: image, command, environment, health check, mounts, whom it starts after."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    health: str | None
    """The URL that the health check asks."""
    binds: dict[str, Path] = field(default_factory=dict)
    """Path in the container -> file or folder of the repository."""
    volumes: list[str] = field(default_factory=list)
    """Paths in the container that are kept."""
    after: list[str] = field(default_factory=list)


def document(profile: str = "dev") -> dict[str, Any]:
    """Return the whole file as docker compose understands it. Raises ValueError if it does not."""
    done = subprocess.run(
        [COMPOSE.path, FILE],
        env={"COMPOSE_PROFILES": profile},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{FILE.name}: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def services(profile: str = "dev") -> dict[str, Service]:
    """Return the services of a profile."""
    return {name: _service(name, of) for name, of in document(profile)["services"].items()}


def _service(name: str, of: dict[str, Any]) -> Service:
    mounts = of.get("volumes", [])
    words = of.get("healthcheck", {}).get("test", [])
    return Service(
        name,
        of["image"],
        of.get("command") or [],
        of.get("environment", {}),
        next((word for word in words if word.startswith("http")), None),
        {m["target"]: Path(m["source"]) for m in mounts if m["type"] == "bind"},
        [m["target"] for m in mounts if m["type"] == "volume"],
        list(of.get("depends_on", {})),
    )
