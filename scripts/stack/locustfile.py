"""Shoppers for the server of one thread: most want little, a few ask for a report."""

from __future__ import annotations

from locust import HttpUser, constant, task


class Shopper(HttpUser):
    """Asks one thing after another; a report keeps everybody else in the queue."""

    wait_time = constant(0.5)

    @task(10)
    def item(self) -> None:
        """Look at an item."""
        self.client.get("/item/1", name="/item/<number>")

    @task(1)
    def report(self) -> None:
        """Ask for the report that takes 0.4 s."""
        self.client.get("/report?s=0.4", name="/report")
