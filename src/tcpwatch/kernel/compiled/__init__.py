"""What the kernel has told of a connection, read in C, where that could be built.

A worker reads it of each connection. The functions in C are twins of those in `tcp_info`, and know
the structure as a kernel of today fills it in; an older one's they leave to Python.
"""

from __future__ import annotations

from typing import Final

from tcpwatch.core.compiled import Twins

twins: Final = Twins(f"{__name__}._compiled")
quick, connect = twins.quick, twins.connect
