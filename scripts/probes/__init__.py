"""Small live runs whose results stand in the docs: a real server, real sockets, one process."""
