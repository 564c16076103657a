"""Put first on PYTHONPATH by `tcpwatch run`: what every Python started below it does at its start.

Nothing here may need anything but the standard library, and nothing may be loaded early: most of
these Pythons are no servers, and some are not the one that tcpwatch is installed in.
"""
