"""Stands in for the `sitecustomize` that it shadows: waits for a server, then loads the other one.

The `site` module imports this at the start of every Python below `tcpwatch run`, so it has to be
valid, and silent, in Pythons that are much older than tcpwatch's.
"""

import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib costs 10 ms

if sys.version_info >= (3, 10):  # noqa: UP036  # an older one of the system's comes by, too
    import tcpwatch_at_first_server  # type: ignore[import-not-found]  # found in this folder

    tcpwatch_at_first_server.wait()

sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != _here]  # noqa: PTH100
_this = sys.modules.pop(__name__)
try:
    # An error in it is reported by `site`, as it would be without us.
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
except ImportError as error:
    if getattr(error, "name", "sitecustomize") != "sitecustomize":
        raise
finally:
    # The import machinery takes the module that it finds here, and insists on finding one.
    sys.modules.setdefault(__name__, _this)
