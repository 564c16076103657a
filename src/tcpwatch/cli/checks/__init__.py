"""`tcpwatch doctor`: what is here, whether it works, what is missing, and what would help."""
