"""Other people's test suites, run without tcpwatch and with it, and compared result by result."""
