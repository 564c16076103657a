"""Nouns: every name that leaves the process, and nothing else (docs/telemetry.md is the contract).

OpenTelemetry's own names (semantic conventions 1.44) stand beside ours so that one module can be
checked against the contract.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "tcpwatch"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

# Phases of a connection, in the order in which they happen (docs/telemetry.md § 1).
ACCEPT_QUEUE: Final = "accept_queue"
TLS_HANDSHAKE: Final = "tls_handshake"
DISPATCH: Final = "dispatch"
IDLE: Final = "idle"
READ_HEAD: Final = "read_head"
APP: Final = "app"
RESPOND: Final = "respond"
DRAIN: Final = "drain"
CLOSE: Final = "close"
HANDLE: Final = "handle"
PHASES: Final = (
    ACCEPT_QUEUE,
    TLS_HANDSHAKE,
    DISPATCH,
    IDLE,
    READ_HEAD,
    APP,
    RESPOND,
    DRAIN,
    CLOSE,
    HANDLE,
)

# How a server hands a connection to its handler.
INLINE: Final = "inline"
THREAD: Final = "thread"
PROCESS: Final = "process"

# What the accept loop does (attribute tcpwatch.loop.state).
LOOP_IDLE: Final = "idle"
LOOP_ACCEPT: Final = "accept"
LOOP_TLS_HANDSHAKE: Final = "tls_handshake"
LOOP_DISPATCH: Final = "dispatch"
LOOP_INLINE: Final = "inline"
LOOP_SERVICE: Final = "service"
LOOP_STATES: Final = (
    LOOP_IDLE,
    LOOP_ACCEPT,
    LOOP_TLS_HANDSHAKE,
    LOOP_DISPATCH,
    LOOP_INLINE,
    LOOP_SERVICE,
)

# Culprits of a wait that are no state of the loop (attribute tcpwatch.blocked_by.activity).
BLAME_FORK_LIMIT: Final = "fork_limit"
BLAME_ACCEPT_ERROR: Final = "accept_error"
BLAME_SCHEDULER: Final = "scheduler"
BLAME_CONVOY: Final = "convoy"
CULPRITS: Final = (
    LOOP_INLINE,
    LOOP_TLS_HANDSHAKE,
    BLAME_CONVOY,
    BLAME_FORK_LIMIT,
    BLAME_ACCEPT_ERROR,
    BLAME_SCHEDULER,
    LOOP_DISPATCH,
    LOOP_SERVICE,
)

# Outcomes (docs/telemetry.md § 4).
CLIENT_GONE_IN_QUEUE: Final = "client_gone_in_queue"
REJECTED: Final = "rejected"
TLS_FAILED: Final = "tls_failed"
HANDLER_ERROR: Final = "handler_error"
CLIENT_DISCONNECTED: Final = "client_disconnected"
TIMEOUT: Final = "timeout"
BAD_REQUEST: Final = "bad_request"
SERVER_SHUTDOWN: Final = "server_shutdown"
CHILD_DIED: Final = "child_died"
UNINSTALLED: Final = "uninstalled"
NO_REQUEST: Final = "no_request"
COMPLETED: Final = "completed"

# Of what the stall warning tells (attribute tcpwatch.stall.state).
STALL_STUCK: Final = "stuck"
STALL_OVER: Final = "over"

# Reasons for keeping a connection that the sampler did not want (docs/telemetry.md § 6).
KEPT_SLOW: Final = "slow"
KEPT_FAILED: Final = "failed"
KEPT_BLOCKING: Final = "blocking"
KEPT_REASONS: Final = (KEPT_SLOW, KEPT_FAILED, KEPT_BLOCKING)

# Span names.
SPAN_TCP: Final = "tcp.connection"
SPAN_UNIX: Final = "unix.connection"

# Attributes that OpenTelemetry names.
NETWORK_TRANSPORT: Final = "network.transport"
NETWORK_TYPE: Final = "network.type"
NETWORK_PEER_ADDRESS: Final = "network.peer.address"
NETWORK_PEER_PORT: Final = "network.peer.port"
NETWORK_LOCAL_ADDRESS: Final = "network.local.address"
NETWORK_LOCAL_PORT: Final = "network.local.port"
NETWORK_PROTOCOL_NAME: Final = "network.protocol.name"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
NETWORK_CONNECTION_STATE: Final = "network.connection.state"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
CLIENT_ADDRESS: Final = "client.address"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
URL_QUERY: Final = "url.query"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
ERROR_TYPE: Final = "error.type"
TLS_PROTOCOL_NAME: Final = "tls.protocol.name"
TLS_PROTOCOL_VERSION: Final = "tls.protocol.version"
TLS_CIPHER: Final = "tls.cipher"
TLS_RESUMED: Final = "tls.resumed"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
CPU_MODE: Final = "cpu.mode"
CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"

# Attributes of our own.
CONNECTION_ID: Final = "tcpwatch.connection.id"
CONNECTION_OUTCOME: Final = "tcpwatch.connection.outcome"
CONNECTION_REQUESTS: Final = "tcpwatch.connection.requests"
SERVER_CLASS: Final = "tcpwatch.server.class"
DISPATCH_KIND: Final = "tcpwatch.dispatch"
PHASE_PREFIX: Final = "tcpwatch.phase."
PHASE_NAME: Final = "tcpwatch.phase.name"
PHASE_DROPPED: Final = "tcpwatch.phase.dropped"
ACCEPT_QUEUE_DEPTH: Final = "tcpwatch.accept_queue.depth"
ACCEPT_QUEUE_LIMIT: Final = "tcpwatch.accept_queue.limit"
BLOCKED_BY_ACTIVITY: Final = "tcpwatch.blocked_by.activity"
BLOCKED_BY_DURATION: Final = "tcpwatch.blocked_by.duration"
BLOCKED_BY_COUNT: Final = "tcpwatch.blocked_by.count"
BLOCKED_BY_CONNECTION_ID: Final = "tcpwatch.blocked_by.connection.id"
STALL_STATE: Final = "tcpwatch.stall.state"
STALL_DURATION: Final = "tcpwatch.stall.duration"
KEPT_REASON: Final = "tcpwatch.kept.reason"
REQUEST_SEQUENCE: Final = "tcpwatch.request.sequence"
REQUEST_BODY_WAIT: Final = "tcpwatch.request.body_wait"
LOOP_STATE: Final = "tcpwatch.loop.state"
REASON: Final = "tcpwatch.reason"
TCP_HANDSHAKE_RTT: Final = "tcpwatch.tcp.handshake_rtt"
TCP_RTT: Final = "tcpwatch.tcp.rtt"
TCP_RTT_VAR: Final = "tcpwatch.tcp.rtt_var"
TCP_MIN_RTT: Final = "tcpwatch.tcp.min_rtt"
TCP_RETRANSMITS: Final = "tcpwatch.tcp.retransmits"
TCP_SYNACK_RETRANSMITS: Final = "tcpwatch.tcp.synack_retransmits"
TCP_BYTES_RECEIVED: Final = "tcpwatch.tcp.bytes_received"
TCP_BYTES_SENT: Final = "tcpwatch.tcp.bytes_sent"
TCP_BYTES_ACKED: Final = "tcpwatch.tcp.bytes_acked"
TCP_BYTES_UNACKED: Final = "tcpwatch.tcp.bytes_unacked"
TCP_BUSY: Final = "tcpwatch.tcp.busy"
TCP_RWND_LIMITED: Final = "tcpwatch.tcp.rwnd_limited"
TCP_SNDBUF_LIMITED: Final = "tcpwatch.tcp.sndbuf_limited"

# Metrics (docs/telemetry.md § 3).
M_CONNECTION_ACTIVE: Final = "tcpwatch.connection.active"
M_CONNECTION_OLDEST: Final = "tcpwatch.connection.oldest"
M_CONNECTION_ACCEPTED: Final = "tcpwatch.connection.accepted"
M_CONNECTION_KEPT: Final = "tcpwatch.connection.kept"
M_CONNECTION_DURATION: Final = "tcpwatch.connection.duration"
M_CONNECTION_RTT: Final = "tcpwatch.connection.rtt"
M_CONNECTION_RETRANSMITS: Final = "tcpwatch.connection.retransmits"
M_PHASE_DURATION: Final = "tcpwatch.connection.phase.duration"
M_QUEUE_WAIT: Final = "tcpwatch.accept_queue.wait_time"
M_QUEUE_LENGTH: Final = "tcpwatch.accept_queue.length"
M_QUEUE_DEPTH: Final = "tcpwatch.accept_queue.depth"
M_QUEUE_LIMIT: Final = "tcpwatch.accept_queue.limit"
M_QUEUE_DROPS: Final = "tcpwatch.accept_queue.drops"
M_ACCEPT_ERRORS: Final = "tcpwatch.accept.errors"
M_LOOP_TIME: Final = "tcpwatch.accept_loop.time"
M_LOOP_BUSY: Final = "tcpwatch.accept_loop.busy"
M_LOOP_BLOCKED_TIME: Final = "tcpwatch.accept_loop.blocked_time"
M_HANDLER_ACTIVE: Final = "tcpwatch.handler.active"
M_REQUEST_DURATION: Final = "http.server.request.duration"
M_ACTIVE_REQUESTS: Final = "http.server.active_requests"
M_PROCESS_CPU_TIME: Final = "process.cpu.time"
M_PROCESS_MEMORY_USAGE: Final = "process.memory.usage"
M_PROCESS_THREAD_COUNT: Final = "process.thread.count"
M_PROCESS_FDS: Final = "process.unix.file_descriptor.count"
M_PROCESS_CONTEXT_SWITCHES: Final = "process.context_switches"
M_PROCESS_CONNECTION_COUNT: Final = "tcpwatch.process.connection.count"
M_SELF_TIME: Final = "tcpwatch.self.time"
M_SELF_DROPPED: Final = "tcpwatch.self.dropped"
M_SELF_ERRORS: Final = "tcpwatch.self.errors"

# Histogram boundaries (docs/telemetry.md § 3); the request's are the semantic convention's.
CONNECTION_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
RTT_BUCKETS: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5),
)
RETRANSMITS_BUCKETS: Final = (0, 1, 2, 5, 10, 25, 50, 100, 250, 1000)
PHASE_BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1, 2.5, 5, 10, 30, 60),
)
QUEUE_WAIT_BUCKETS: Final = (
    *(0.001, 0.004, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
QUEUE_LENGTH_BUCKETS: Final = (0, 1, 2, 5, 10, 25, 50, 100, 128, 250, 500, 1000, 4096)
REQUEST_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
