"""The store: spans and metric points in an embedded analytical database, bounded and durable."""

from tcpwatch.view.store.database import StoreError
from tcpwatch.view.store.store import Store

__all__ = ["Store", "StoreError"]
