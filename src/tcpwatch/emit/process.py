"""Process metrics, by psutil, with OpenTelemetry's names for them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from tcpwatch import names

MOST_ROWS = 5000
"""With more connections than this on the host, reading /proc/net/tcp costs too much."""


class ProcessMetrics:
    """Observes one process: this one or, from the helper, the accepting one.

    Raises psutil.Error or OSError where the platform shows no processes (no /proc).
    """

    def __init__(self, meter: Meter, pid: int, connections: bool) -> None:
        self._process = psutil.Process(pid)
        self._made_by = os.getpid()
        counter, gauge = meter.create_observable_counter, meter.create_observable_up_down_counter
        counter(names.M_PROCESS_CPU_TIME, [self._cpu], "s", "CPU time.")
        gauge(names.M_PROCESS_MEMORY_USAGE, [self._memory], "By", "Resident memory.")
        gauge(names.M_PROCESS_THREAD_COUNT, [self._threads], "{thread}", "Threads.")
        if hasattr(self._process, "num_fds"):
            gauge(names.M_PROCESS_FDS, [self._fds], "{file_descriptor}", "Open descriptors.")
        counter(names.M_PROCESS_CONTEXT_SWITCHES, [self._switches], "{context_switch}", "Switches.")
        if connections:
            meter.create_observable_gauge(
                names.M_PROCESS_CONNECTION_COUNT, [self._states], "{connection}", "By TCP state."
            )

    def _observe(self, values: Iterable[tuple[float, dict[str, Any]]]) -> list[Observation]:
        if os.getpid() != self._made_by:
            return []
        try:
            return [Observation(value, attributes) for value, attributes in values]
        except (psutil.Error, OSError):  # it ended, or a container hides it: absent
            return []

    def _cpu(self, options: CallbackOptions) -> Iterable[Observation]:
        def values() -> Iterable[tuple[float, dict[str, Any]]]:
            times = self._process.cpu_times()
            yield times.user, {names.CPU_MODE: "user"}
            yield times.system, {names.CPU_MODE: "system"}

        return self._observe(values())

    def _memory(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observe((self._process.memory_info().rss, {}) for _ in range(1))

    def _threads(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observe((self._process.num_threads(), {}) for _ in range(1))

    def _fds(self, options: CallbackOptions) -> Iterable[Observation]:
        return self._observe((self._process.num_fds(), {}) for _ in range(1))

    def _switches(self, options: CallbackOptions) -> Iterable[Observation]:
        def values() -> Iterable[tuple[float, dict[str, Any]]]:
            switches = self._process.num_ctx_switches()
            yield switches.voluntary, {names.CONTEXT_SWITCH_TYPE: "voluntary"}
            yield switches.involuntary, {names.CONTEXT_SWITCH_TYPE: "involuntary"}

        return self._observe(values())

    def _states(self, options: CallbackOptions) -> Iterable[Observation]:
        def values() -> Iterable[tuple[float, dict[str, Any]]]:
            if _rows() > MOST_ROWS:
                return
            found = Counter(row.status.lower() for row in self._process.net_connections("tcp"))
            for state, count in found.items():
                yield count, {names.NETWORK_CONNECTION_STATE: state}

        return self._observe(values())


def _rows() -> int:
    """Return about how many TCP sockets the host has, from /proc/net/sockstat."""
    try:
        with Path("/proc/net/sockstat").open() as lines:
            for line in lines:
                if line.startswith("TCP:"):
                    return int(line.split()[2])
    except (OSError, ValueError, IndexError):
        return 0
    return 0
