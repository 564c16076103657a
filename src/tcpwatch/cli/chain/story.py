"""The story of a connection in the order in which it happens: which methods, and what for.

Which class implements each method, who calls it, and whether a server has it at all is not told
here: `steps` finds that in the real classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tcpwatch import names


@dataclass(frozen=True)
class Row:
    """A method of one of the actors.

    `called_as` are the names under which its caller's code mentions it, if not by its own;
    `outermost` picks the first of several callers, for what an inner one is told to leave.
    `kernel` is what the kernel does there, `phases` those of a connection that pass in it. All
    this is told of the class `told_of`, or of the last one that the method is passed on to.
    `variants` replace (`does`, `kernel`) if the class of this name implements the method.
    """

    actor: str
    method: str
    does: str
    kernel: str = ""
    phases: tuple[str, ...] = ()
    called_as: tuple[str, ...] = ()
    outermost: bool = False
    told_of: str = ""
    variants: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_INLINE = (
    "serves the connection itself; until that is done, nobody else is accepted",
    "nothing: the connections that come meanwhile wait in the accept queue",
)
_THREAD = (
    "starts a thread for the connection and goes back to the loop",
    "clone(2): a thread, with the same descriptors",
)
_FORK = (
    "forks a process for the connection; the parent closes its copy and goes back to the loop",
    "fork(2): a process, with a copy of each descriptor",
)

STORY: Final = (
    Row("app", "run", "decides on host, port, debugger, reloader, and on threads for requests"),
    Row("serving", "run_simple", "makes the server, then serves, in the reloader if that is on"),
    Row("serving", "make_server", "chooses the server's class by `threaded` and `processes`"),
    Row(
        "server",
        "__init__",
        "makes the listening socket, not yet bound",
        "socket(2): a TCP socket without a name",
        told_of="TCPServer",
    ),
    Row(
        "server",
        "server_bind",
        "gives the socket its address",
        "bind(2): the port is this socket's",
        outermost=True,
    ),
    Row(
        "server",
        "server_activate",
        "begins to listen, with a backlog of {backlog}",
        "listen(2): from now on the kernel completes TCP handshakes on its own and puts the"
        " connections into the accept queue, which has room for {limit}",
        outermost=True,
    ),
    Row(
        "server",
        "serve_forever",
        "the accept loop: sleeps until a connection waits, handles it, and again",
        "poll(2) on the listening socket: readable while the accept queue is not empty",
    ),
    Row(
        "server",
        "service_actions",
        "the server's own housekeeping, once in each turn of the loop",
        variants={
            "ForkingMixIn": (
                "collects the children that have ended; at `max_children` the loop waits here",
                "waitpid(2)",
            )
        },
    ),
    Row("server", "_handle_request_noblock", "one turn: accept, check, hand over"),
    Row("server", "get_request", "asks the listening socket for the next connection"),
    Row(
        "tls",
        "accept",
        "accepts, then wraps the connection in TLS, before the loop goes on",
        told_of="SSLSocket",
    ),
    Row(
        "listener",
        "accept",
        "asks the kernel; the result is a new socket object",
        "accept4(2): takes the oldest connection out of the accept queue. What it waited there is"
        " in tcpi_last_data_sent of TCP_INFO",
        (names.ACCEPT_QUEUE,),
    ),
    Row("context", "wrap_socket", "makes the connection an SSLSocket"),
    Row("tls", "_create", "the same, and begins with the handshake"),
    Row(
        "tls",
        "do_handshake",
        "agrees with the client on encryption; a client that says nothing stops the loop here",
        "recv(2) and send(2), one or two round trips to the client",
        (names.TLS_HANDSHAKE,),
    ),
    Row("server", "verify_request", "may refuse the client by its address"),
    Row(
        "server",
        "process_request",
        "hands the connection over in a way of its own",
        "",
        (names.DISPATCH,),
        variants={"BaseServer": _INLINE, "ThreadingMixIn": _THREAD, "ForkingMixIn": _FORK},
    ),
    Row("server", "process_request_thread", "the first line in the new thread"),
    Row("server", "finish_request", "makes a handler for this connection"),
    Row(
        "handler",
        "__init__",
        "calls setup, handle and finish; the connection's whole life in Python",
        called_as=("RequestHandlerClass",),
    ),
    Row("handler", "setup", "makes `rfile` and `wfile` of the connection"),
    Row(
        "handler",
        "handle",
        "serves the connection",
        "",
        (names.HANDLE,),
    ),
    Row(
        "handler",
        "handle_one_request",
        "waits for the first byte of a request, then reads its first line",
        "recv(2): sleeps until the client sends, however long that takes",
        (names.IDLE,),
    ),
    Row(
        "handler",
        "parse_request",
        "reads the headers and checks them",
        "recv(2), until the empty line has come",
        (names.READ_HEAD,),
    ),
    Row(
        "handler",
        "run_wsgi",
        "serves any method: builds the WSGI environ, calls the application, writes what it yields,"
        " and lingers for input that came too late",
        "",
        (names.APP, names.DRAIN),
        called_as=("getattr",),
    ),
    Row(
        "handler",
        "do_GET",
        "answers a GET; other methods have a do_METHOD of their own",
        "",
        (names.APP,),
        called_as=("getattr",),
    ),
    Row("handler", "do_POST", "answers a POST", "", (names.APP,), called_as=("getattr",)),
    Row("wsgi", "run", "calls the application and writes what it yields", "", (names.APP,)),
    Row(
        "app",
        "__call__",
        "the WSGI application",
        called_as=("app", "application"),
    ),
    Row("app", "wsgi_app", "makes the request's context"),
    Row("app", "full_dispatch_request", "before_request functions, the view, after_request"),
    Row("app", "dispatch_request", "calls the view function that the URL is routed to"),
    Row(
        "writer",
        "write",
        "sends what the application yields, piece by piece",
        "send(2): copies into the send buffer, and sleeps while that is full because the client"
        " does not read",
        (names.RESPOND,),
    ),
    Row("handler", "finish", "flushes and closes `rfile` and `wfile`"),
    Row(
        "server",
        "shutdown_request",
        "says goodbye",
        "shutdown(2): a FIN, once all that was sent is on its way",
        (names.CLOSE,),
    ),
    Row(
        "server",
        "close_request",
        "gives the descriptor back",
        "close(2): the kernel delivers what is unsent, or answers with a RST if there is unread"
        " input",
    ),
)
