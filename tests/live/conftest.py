"""Fixtures of the live tests: a receiver for each test, and servers that send to it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tcpwatch.view.receiver import Receiver
from tcpwatch.view.recording import Recording
from tests.live.harness import LiveServer
from tests.live.seen import Seen

Start = Callable[..., LiveServer]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return an OTLP receiver with an empty recording."""
    with Receiver(Recording()) as listening:
        yield listening


@pytest.fixture
def seen(receiver: Receiver) -> Seen:
    """Return what the receiver got."""
    return Seen(receiver.recording)


@contextmanager
def starting(endpoint: str, folder: Path) -> Iterator[Start]:
    """Give a function that starts a watched server, or a bare one with `--install never`."""
    with ExitStack() as running:

        def start(*flags: str, env: dict[str, str] | None = None) -> LiveServer:
            wanted = flags if "--install" in flags else (*flags, "--install", "first")
            target = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **(env or {})}
            return running.enter_context(LiveServer(*wanted, folder=folder, env=target))

        yield start


@pytest.fixture
def start(receiver: Receiver, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts servers for one test; see `starting`."""
    with starting(receiver.endpoint, tmp_path) as start:
        yield start


@pytest.fixture
def socket_path() -> Iterator[str]:
    """Return a path short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="tw") as folder:
        yield str(Path(folder) / "s")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file with a self-signed certificate for loopback and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)
