"""`tcpwatch run`: how a program comes to be watched without a change to it."""
