"""Fixtures of the hard cases: those of the live tests."""

from tests.live.conftest import certificate, receiver, seen, socket_path, start

__all__ = ["certificate", "receiver", "seen", "socket_path", "start"]
