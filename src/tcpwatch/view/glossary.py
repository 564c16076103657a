"""What the contract's words mean, in half a sentence each, for someone who never heard them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tcpwatch import names

PHASES: Final = {
    names.ACCEPT_QUEUE: "connected, waiting in the kernel's queue for the server",
    names.TLS_HANDSHAKE: "agreeing on encryption",
    names.DISPATCH: "handed over to the code that serves it",
    names.IDLE: "connected, but the client has sent nothing yet",
    names.READ_HEAD: "reading the request's first lines",
    names.APP: "your view at work, until its first byte",
    names.RESPOND: "sending the response, as fast as the client takes it",
    names.DRAIN: "werkzeug lingers for input that came too late",
    names.CLOSE: "taking the connection down",
    names.HANDLE: "the handler at work (it speaks no HTTP)",
}

LOOP_STATES: Final = {
    names.LOOP_IDLE: "ready: nobody was there to be answered",
    names.LOOP_ACCEPT: "taking a connection from the queue",
    names.LOOP_TLS_HANDSHAKE: "waiting for one client's encryption handshake",
    names.LOOP_DISPATCH: "starting a thread or process for a connection",
    names.LOOP_INLINE: "serving one connection itself, all others wait",
    names.LOOP_SERVICE: "the server's own housekeeping",
}

OUTCOMES: Final = {
    names.CLIENT_GONE_IN_QUEUE: "the client gave up before it was answered",
    names.REJECTED: "the server refused the client's address",
    names.TLS_FAILED: "no agreement on encryption",
    names.HANDLER_ERROR: "the server's code failed",
    names.CLIENT_DISCONNECTED: "the client left in the middle",
    names.TIMEOUT: "the client did not finish its request in time",
    names.BAD_REQUEST: "what came was no proper request",
    names.SERVER_SHUTDOWN: "still open when the server stopped",
    names.CHILD_DIED: "the process that served it died",
    names.UNINSTALLED: "tcpwatch was removed while it was open",
    names.NO_REQUEST: "the client never sent anything",
    names.COMPLETED: "served to its end",
}

ACTIVITIES: Final = {
    names.LOOP_INLINE: "the server has one thread, and it was busy",
    names.LOOP_TLS_HANDSHAKE: "the loop that answers connections was in a handshake",
    names.LOOP_DISPATCH: "starting threads or processes took long",
    names.LOOP_SERVICE: "the server's own housekeeping took long",
    names.LOOP_ACCEPT: "taking connections from the queue took long",
    names.BLAME_FORK_LIMIT: "all of the server's processes were busy",
    names.BLAME_ACCEPT_ERROR: "the server could not take connections (an error of the system)",
    names.BLAME_SCHEDULER: "the server was ready, but its process got no time to run",
    names.BLAME_CONVOY: "many short connections were served one after another",
}


@dataclass(frozen=True)
class Lesson:
    """What happens in a phase: in the kernel, in Python, and what it means when it is long."""

    kernel: str
    python: str
    long: str


LESSONS: Final = {
    names.ACCEPT_QUEUE: Lesson(
        "The handshake is done; the kernel has put the connection into the listening socket's "
        "accept queue. The client may already send. The queue has room for the backlog, and when "
        "it is full the kernel drops what arrives.",
        "Nothing runs yet: no code of yours or of the server's can see this wait. It ends when "
        "get_request returns from accept.",
        "The loop was away: serving somebody else itself, in somebody's TLS handshake, or without "
        "CPU. Look at what blocked it.",
    ),
    names.TLS_HANDSHAKE: Lesson(
        "Messages of the handshake go to and fro, at least once around.",
        "SSLSocket.do_handshake. Where the listening socket is wrapped (werkzeug does that), it "
        "runs inside accept, in the loop: one silent client stops everybody.",
        "The client does not answer, or is far away. Threads do not help; TLS in front of the "
        "server does.",
    ),
    names.DISPATCH: Lesson(
        "For a thread or a process: clone.",
        "From accept to the first line of the handler: verify_request, process_request, and the "
        "start of the thread or the fork.",
        "Starting threads takes long (no CPU, no GIL), a large process is forked, or the server "
        "has a queue of its own.",
    ),
    names.IDLE: Lesson(
        "The socket has nothing to read.",
        "The handler waits in rfile.readline for the first byte of a request. Between two "
        "requests of a keep-alive connection it is here too.",
        "A browser that connected ahead of time, a health check, a client that takes its time. "
        "Harmless with threads; with one thread it blocks everybody. A timeout on the handler ends "
        "it.",
    ),
    names.READ_HEAD: Lesson(
        "The bytes of the request line and the headers arrive.",
        "parse_request reads them line by line.",
        "A slow or hostile client, or a slow network.",
    ),
    names.APP: Lesson(
        "Mostly nothing: the CPU runs Python, or your code waits for something else.",
        "From run_wsgi into your view, up to the first byte that it returns.",
        "Your view is slow, or it reads a body that arrives slowly (tcpwatch.request.body_wait).",
    ),
    names.RESPOND: Lesson(
        "Bytes go into the send buffer and from there as fast as the client's window allows.",
        "Writes to wfile, from the first to the last.",
        "The client reads slowly (its receive window is closed), or the view produces its body "
        "slowly.",
    ),
    names.DRAIN: Lesson(
        "Whatever the client still sends is read and thrown away.",
        "werkzeug waits up to 10 ms after each response for input that came too late.",
        "It delays no answer, but holds the thread: with one thread no more than about 95 "
        "connections a second.",
    ),
    names.CLOSE: Lesson(
        "FIN goes out; what is not yet acknowledged stays with the kernel.",
        "shutdown_request, close_request.",
        "Seldom long; a lingering socket waits here for its last bytes.",
    ),
    names.HANDLE: Lesson(
        "Whatever the handler makes of the socket.",
        "The handler of a server that speaks no HTTP, from its first to its last line.",
        "Only the handler knows.",
    ),
}
"""What a reader of the Learn view is told about each phase."""
