"""What deploy/kustomization.yaml says: manifests, the files of their config maps, containers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from stack.compose import Service
from stack.programs import ROOT

FILE = ROOT / "deploy" / "kustomization.yaml"
GATEWAYS = ("gateway-1", "gateway-2")
# In the cluster one name stands for all gateways; on this machine there is no such name.
HERE = """\
exporters:
  load_balancing/traces:
    resolver: &here
      dns: null
      static:
        hostnames: [gateway-1:4317, gateway-2:4317]
  load_balancing/metrics:
    resolver: *here
"""


def kustomization() -> dict[str, Any]:
    """Return the kustomization."""
    found = yaml.safe_load(FILE.read_text())
    assert isinstance(found, dict)
    return found


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each document of each resource, with its file."""
    for name in kustomization()["resources"]:
        path = FILE.parent / name
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def config_maps() -> dict[str, list[Path]]:
    """Return the files of each config map that is generated."""
    generated = kustomization()["configMapGenerator"]
    return {each["name"]: [FILE.parent / file for file in each["files"]] for each in generated}


def services() -> dict[str, Service]:
    """Return the container of each workload."""
    return {
        document["metadata"]["name"]: _service(document)
        for _, document in manifests()
        if "template" in document.get("spec", {})
    }


def cluster(folder: Path) -> list[Service]:
    """Return an agent, under the name that applications know, two gateways, and Prometheus.

    Their words are the manifests'; where the gateways are is written to a file in `folder`.
    """
    found = services()
    here, mounted = folder / "here.yaml", "/etc/otelcol/here.yaml"
    here.write_text(HERE)
    agent = found["agent"]
    return [
        *(dataclasses.replace(found["gateway"], name=name) for name in GATEWAYS),
        dataclasses.replace(
            agent,
            name="collector",
            command=[*agent.command, "--config", mounted],
            binds={**agent.binds, mounted: here},
        ),
        found["prometheus"],
    ]


def _service(document: dict[str, Any]) -> Service:
    pod = document["spec"]["template"]["spec"]
    [container] = pod["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    probe = container["readinessProbe"]["httpGet"]
    maps = {
        volume["name"]: volume["configMap"]["name"]
        for volume in pod["volumes"]
        if "configMap" in volume
    }
    return Service(
        document["metadata"]["name"],
        container["image"],
        container["args"],
        {each["name"]: each["value"] for each in container.get("env", []) if "value" in each},
        f"http://127.0.0.1:{probe['port']}{probe['path']}",
        {
            f"{paths[volume]}/{file.name}": file
            for volume, name in maps.items()
            for file in config_maps()[name]
        },
        [path for volume, path in paths.items() if volume not in maps],
    )
