"""`tcpwatch explain`: the way from `Flask.run` to `accept` and back, read from the real classes."""
