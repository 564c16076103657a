"""`tcpwatch top`: the servers' own metrics, as they come, in a terminal."""
