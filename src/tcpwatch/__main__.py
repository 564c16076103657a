"""`python -m tcpwatch` is the `tcpwatch` command."""

from tcpwatch.cli import main

if __name__ == "__main__":
    main()
