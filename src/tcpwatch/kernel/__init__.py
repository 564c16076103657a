"""What the kernel knows about a socket: one thin reader, pure parsers."""
