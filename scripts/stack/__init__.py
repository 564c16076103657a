"""The stack of deploy/ without Docker: the same programs, versions, commands and configurations.

`programs` are built from Go modules into .stack; `compose` reads deploy/compose.yaml with Docker's
own library; `translation` gives a container's words local addresses and paths; `running` starts and
stops; `jaeger` and `prometheus` ask what was stored. `python -m stack` is `make stack`.
"""
