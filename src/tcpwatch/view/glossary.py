"""What the contract's words mean, in half a sentence each, for someone who never heard them."""

from __future__ import annotations

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
