"""The embedded viewer: it receives OTLP, keeps it in memory and says what it means."""

from __future__ import annotations

from typing import Final

HTTP_PORT: Final = 4318
GRPC_PORT: Final = 4317
"""OTLP's own ports: what an exporter sends to when it is told nothing."""
