"""The files of deploy/ are valid, pinned, and agree with each other and with what the rig runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from stack import compose, kubernetes, programs, translation
from stack.programs import COLLECTOR, JAEGER, PINS, PROMTOOL, ROOT, Program
from stack.running import Stack
from stack.translation import free_port

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="not installed (make stack-test installs it)"
)
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.33"
RELEASE = re.compile(r":v?\d+\.\d+\.\d+(-slim)?$")
ENVIRONMENT = {
    "ELASTICSEARCH_URL": "http://elasticsearch:9200",
    "ELASTICSEARCH_USERNAME": "jaeger",
    "ELASTICSEARCH_PASSWORD": "of-your-own",
}
IMAGES = {
    "otel/opentelemetry-collector-contrib": f":{PINS['COLLECTOR_VERSION']}",
    "jaegertracing/jaeger": f":{PINS['JAEGER_VERSION']}",
    "prom/prometheus": f":v{PINS['PROMETHEUS_VERSION']}",
    "grafana/grafana": f":{PINS['GRAFANA_VERSION']}",
    "python": f":{PINS['PYTHON_VERSION']}-slim",
    "busybox": f":{PINS['BUSYBOX_VERSION']}",
}
"""Every image that is pulled, and the tag that .env means."""
pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture(scope="module")
def document(built: None) -> dict[str, Any]:
    """deploy/compose.yaml as docker compose understands it."""
    return compose.document()


def test_docker_compose_understands_both_profiles() -> None:
    """Plain `up` starts all, profile `load` Locust alone."""
    everything = {"app", "app-inline", "app-tls", "collector", "jaeger", "prometheus", "grafana"}
    locust = {"locust", "locust-worker"}
    assert set(compose.services(PINS["COMPOSE_PROFILES"])) == everything | locust
    assert set(compose.services("load")) == locust


def test_a_service_is_bounded_checked_and_reached_from_this_machine_only(
    document: dict[str, Any],
) -> None:
    """Limits, health checks and loopback, for each service that has a port."""
    for name, service in document["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", [])), name
        assert "healthcheck" in service or name == "locust-worker", name


def test_who_depends_waits_for_health(document: dict[str, Any]) -> None:
    """No service starts merely after another: it starts when that is healthy."""
    for service in document["services"].values():
        for of in service.get("depends_on", {}).values():
            assert of["condition"] == "service_healthy"


def pulled() -> list[tuple[str, str]]:
    """Return each image that is pulled, with the file that says so."""
    found = [
        (service["image"], "compose.yaml")
        for service in compose.document()["services"].values()
        if "build" not in service and service["image"] != "tcpwatch-sample"
    ]
    found += [(service.image, "kubernetes") for service in kubernetes.services().values()]
    for dockerfile in DEPLOY.rglob("Dockerfile"):
        for image in re.findall(r"^FROM (\S+)", dockerfile.read_text(), re.MULTILINE):
            named = re.sub(r"\$\{(\w+)\}", lambda match: PINS[match[1]], image)
            found.append((named, str(dockerfile.relative_to(DEPLOY))))
    return found


def test_every_image_is_pinned_by_the_one_env_file() -> None:
    """An image is a release by its full number, the one in .env, wherever it stands."""
    for image, file in pulled():
        name, _, _ = image.partition(":")
        assert RELEASE.search(image), f"{image} in {file}"
        assert image == name + IMAGES[name], f"{image} in {file}"


def test_what_is_built_here_is_what_is_pulled_there() -> None:
    """The rig's programs are the releases of .env, also each part of the Collector."""
    manifest = programs.MANIFEST.read_text()
    assert f"version: {PINS['COLLECTOR_VERSION']}\n" in manifest
    parts = re.findall(
        r"/(?:receiver|processor|exporter|extension)/\S+ (\S+)$", manifest, re.MULTILINE
    )
    assert set(parts) == {f"v{PINS['COLLECTOR_VERSION']}"}


def test_a_dockerfile_copies_what_exists() -> None:
    """Each COPY from the context names files of the repository."""
    contexts = {"app": ROOT, "collector": DEPLOY / "collector"}
    for name, context in contexts.items():
        text = (DEPLOY / name / "Dockerfile").read_text()
        for words in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
            *sources, _ = words.split()
            for source in sources:
                assert list(context.glob(source)), f"{source} in {name}/Dockerfile"


def test_the_image_is_built_with_what_the_project_asks_for() -> None:
    """Each direct requirement of the image has a pin that pyproject.toml allows."""
    lines = (DEPLOY / "app" / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    extras = [{"extra": extra} for extra in ("", "flask", "load")]
    for requirement in map(Requirement, metadata.requires("tcpwatch") or ()):
        if not requirement.marker or any(map(requirement.marker.evaluate, extras)):
            pin = pins[requirement.name.lower()]
            assert requirement.specifier.contains(pin, prereleases=True), f"{requirement}: {pin}"


@pytest.mark.parametrize(
    ("program", "words", "file"),
    [
        (COLLECTOR, ("validate", "--config"), "collector/collector.yaml"),
        (COLLECTOR, ("validate", "--config"), "collector/agent.yaml"),
        (COLLECTOR, ("validate", "--config"), "collector/gateway.yaml"),
        (JAEGER, ("validate", "--config"), "jaeger/jaeger.yaml"),
        (JAEGER, ("validate", "--config"), "jaeger/elasticsearch.yaml"),
        (PROMTOOL, ("check", "config"), "prometheus/prometheus.yml"),
        (PROMTOOL, ("check", "config"), "kubernetes/prometheus.yml"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_program_accepts_its_configuration(
    program: Program, words: tuple[str, ...], file: str, tmp_path: Path
) -> None:
    """The program that reads a file says that it is valid."""
    text = (DEPLOY / file).read_text()
    copy = tmp_path / Path(file).name
    # It must not be made on this machine to be checked.
    copy.write_text(text.replace("/var/lib/otelcol", str(tmp_path)))
    checked = DEPLOY / file if text == copy.read_text() else copy
    done = subprocess.run(
        [program.path, *words, checked],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_configuration_is_checked_or_another_programs() -> None:
    """No YAML lies in deploy/ that no test reads."""
    checked = {"collector", "jaeger", "kubernetes", "prometheus", "grafana"}
    files = {path.relative_to(DEPLOY) for path in DEPLOY.rglob("*.y*ml")}
    assert {file.parts[0] for file in files if len(file.parts) > 1} <= checked
    assert {str(f) for f in files if len(f.parts) == 1} == {"compose.yaml", "kustomization.yaml"}


def identify(found: tuple[Path, dict[str, Any]]) -> str:
    """Name a test by kind and name."""
    return f"{found[1]['kind']}-{found[1]['metadata']['name']}"


@pytest.mark.parametrize("found", [*kubernetes.manifests()], ids=identify)
def test_kubernetes_accepts_a_manifest(found: tuple[Path, dict[str, Any]]) -> None:
    """A manifest is valid by the schema of Kubernetes, and has nothing besides."""
    kubernetes_validate.validate(found[1], KUBERNETES, strict=True)


def test_a_kubernetes_service_finds_its_pods() -> None:
    """Each selector is the labels of one workload; each port of a service is the container's."""
    documents = [document for _, document in kubernetes.manifests()]
    pods = {}
    for each in documents:
        if "template" in each.get("spec", {}):
            template = each["spec"]["template"]
            ports = {port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
            pods[template["metadata"]["labels"]["app"]] = ports
            assert each["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    services = [each for each in documents if each["kind"] == "Service"]
    assert len(services) >= len(pods)
    for each in services:
        ports = {port["port"] for port in each["spec"]["ports"]}
        assert ports <= pods[each["spec"]["selector"]["app"]], each["metadata"]["name"]


def test_kubernetes_mounts_what_the_command_reads() -> None:
    """A container's configuration is the file of deploy/ that its argument names."""
    for name, service in kubernetes.services().items():
        config = service.command[-1] if "--config" in service.command else service.command[0]
        path = config.partition("=")[2] or config
        assert path in service.binds, f"{name} reads {path}, mounted are {list(service.binds)}"
        assert service.binds[path].exists()


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_prometheus_has_all_of_the_rules(where: str) -> None:
    """Its rule_files match, in the container, every file of deploy/prometheus/rules."""
    service = (kubernetes if where == "kubernetes" else compose).services()["prometheus"]
    mounted: dict[str, Path] = {}
    for target, source in service.binds.items():
        files = [source] if source.is_file() else [f for f in source.rglob("*") if f.is_file()]
        for file in files:
            place = target if source.is_file() else f"{target}/{file.relative_to(source)}"
            mounted[place] = file
    [path] = [word.partition("=")[2] for word in service.command if "--config.file=" in word]
    globs = yaml.safe_load(mounted[path].read_text())["rule_files"]
    found = {
        file
        for place, file in mounted.items()
        for glob in globs
        if fnmatch(place, os.path.normpath(Path(path).parent / glob))
    }
    assert found == set((DEPLOY / "prometheus" / "rules").iterdir())


def test_a_service_has_a_port_that_no_client_is_given() -> None:
    """While a program is down the kernel gives its port to nobody, so it can be started again."""
    settings = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(settings.read_text().split()[0]) if settings.exists() else translation.OURS.stop
    if first < translation.OURS.stop:
        pytest.skip(f"this machine gives clients every port from {first} on")
    assert all(free_port(set()) < first for _ in range(100))


def test_the_rig_runs_the_words_of_the_containers(tmp_path: Path) -> None:
    """Here a service starts with the words of its container, but for addresses and places."""
    names = ("collector", "jaeger", "prometheus", "app", "app-inline", "app-tls")
    stack = Stack(tmp_path, *names)
    for name in names:
        service = stack.services[name]
        here = stack.command(name)[-len(service.command) :]
        targets = [*service.binds, *service.volumes]
        for theirs, ours in zip(service.command, here, strict=True):
            if any(target in theirs for target in targets):
                assert ours.endswith(theirs.partition("=")[2] or theirs)
            elif re.search(r"0\.0\.0\.0:\d+$", theirs):
                assert re.sub(r"127\.0\.0\.1:\d+$", "", ours) == theirs[: theirs.index("0.0.0.0")]
            elif theirs == "python":
                assert ours == sys.executable
            else:
                assert ours == theirs
