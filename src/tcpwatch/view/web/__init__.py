"""The viewer's door to the network: OTLP in, the page and its answers out, on one port."""
