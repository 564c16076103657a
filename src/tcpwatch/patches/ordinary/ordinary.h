/* What the hooks in C share: what Python has given them, and the slots of our objects.
 *
 * The rule of this folder: a hook knows the ordinary case. Whatever else it sees it leaves to the
 * hook of the same name in Python, before it has changed anything; so Python says what is right,
 * and here is said only what is quick.
 */

#ifndef TCPWATCH_ORDINARY_H
#define TCPWATCH_ORDINARY_H

#include "../../core/compiled/slots.h"

#include <linux/tcp.h>
#include <stddef.h>
#include <time.h>

#ifndef __linux__
#error "Marks are times of Linux's CLOCK_MONOTONIC, and connections are asked for Linux's TCP_INFO."
#endif

/* -- the slots of our objects ------------------------------------------------------------------ */

/* clang-format off */
#define CONNECTION_SLOTS(SLOT)                                                                     \
    SLOT(accepted) SLOT(accepted_ns) SLOT(application) SLOT(dispatch) SLOT(exchange)               \
    SLOT(forked) SLOT(handled_by) SLOT(handler_ns) SLOT(handling) SLOT(key) SLOT(loop)             \
    SLOT(marks) SLOT(over) SLOT(pid) SLOT(ready_ns) SLOT(sequence) SLOT(socket_id)                 \
    SLOT(socket_ref) SLOT(stage) SLOT(tail)

#define EXCHANGE_SLOTS(SLOT)                                                                       \
    SLOT(body_wait_ns) SLOT(cut_short) SLOT(ended) SLOT(excluded) SLOT(final)                      \
    SLOT(first_byte_ns) SLOT(first_write_ns) SLOT(head_ns) SLOT(headers) SLOT(last_write_ns)       \
    SLOT(method) SLOT(peer_instrumented) SLOT(received) SLOT(refused) SLOT(release)                \
    SLOT(request_line) SLOT(route) SLOT(scheme) SLOT(sequence) SLOT(span) SLOT(span_facts)         \
    SLOT(status) SLOT(target) SLOT(version) SLOT(view) SLOT(wall_ns)

#define LOOP_SLOTS(SLOT)                                                                           \
    SLOT(accepted) SLOT(accepting) SLOT(away_since) SLOT(by_hand) SLOT(connection) SLOT(depth)     \
    SLOT(depth_zero_ns) SLOT(failures) SLOT(getting) SLOT(history) SLOT(kernel) SLOT(key)          \
    SLOT(label) SLOT(limit) SLOT(listener) SLOT(own_address) SLOT(plain_peers) SLOT(running)       \
    SLOT(select_returned_ns) SLOT(services) SLOT(since_ns) SLOT(slept) SLOT(sock) SLOT(spinning)   \
    SLOT(state) SLOT(thread_id) SLOT(totals)
/* clang-format on */

extern struct slots {
    struct {
        CONNECTION_SLOTS(OFFSET)
    } connection;
    struct {
        EXCHANGE_SLOTS(OFFSET)
    } exchange;
    struct {
        LOOP_SLOTS(OFFSET)
    } loop;
} slots;

#define CONNECTION(object, name) AT(object, slots.connection.name)
#define EXCHANGE(object, name) AT(object, slots.exchange.name)
#define LOOP(object, name) AT(object, slots.loop.name)

/* -- what Python gives ------------------------------------------------------------------------- */

/* Classes, tables, functions and constants; `connect` says where they come from. */
/* clang-format off */
#define GIVEN(THING)                                                                               \
    THING(Accepted) THING(BaseHTTPRequestHandler) THING(Connection) THING(Exchange)                \
    THING(Kernel) THING(Loop) THING(Message) THING(SocketIO) THING(SocketRef)                      \
    THING(SocketWriter) THING(partial) THING(socket)                       \
    THING(by_socket) THING(connected) THING(connections) THING(hub)          \
    THING(hub_values) THING(post_values) THING(loops) THING(post) THING(serving)                   \
    THING(handle_code) THING(adopt_flask) THING(application) THING(is_refused) THING(known_views)  \
    THING(note_blocking) THING(own_address) THING(received) THING(unwatch) THING(view_of)          \
    THING(watch) THING(end_span)                                                                   \
    THING(ABANDONED) THING(ACCEPTED) THING(CLOSED) THING(EXCHANGE_ENDED) THING(FIRST_BYTE)         \
    THING(FIRST_WRITE) THING(HANDLER_BEGAN) THING(HANDLER_ENDED) THING(HEAD_PARSED)                \
    THING(HTTP_READY) THING(LAST_WRITE) THING(ACCEPT_QUEUE) THING(IDLE) THING(INLINE)              \
    THING(LOOP_ACCEPT) THING(LOOP_DISPATCH) THING(LOOP_IDLE) THING(LOOP_INLINE)                    \
    THING(LOOP_SERVICE) THING(THREAD) THING(UNINSTALLED) THING(KEPT) THING(TELLING_SIZE)
/* clang-format on */

/* The hooks, each with its twin in Python. */
/* clang-format off */
#define HOOKS(HOOK)                                                                                \
    HOOK(service_began) HOOK(service_ended) HOOK(woken) HOOK(turned) HOOK(get_began)               \
    HOOK(get_ended) HOOK(finish_began) HOOK(finish_ended) HOOK(close_began) HOOK(close_ended)      \
    HOOK(handle_began) HOOK(handle_ended) HOOK(parsed) HOOK(responds) HOOK(matched)                \
    HOOK(watched_readinto) HOOK(watched_write)
/* clang-format on */

extern struct given {
    GIVEN(DECLARE)
    PyObject *blank_connection, *blank_exchange;
} given;

extern struct twins {
    HOOKS(DECLARE)
} twins;

#define PROTOTYPE(name) PyObject *name(PyObject *module, PyObject *const *args, Py_ssize_t count);
HOOKS(PROTOTYPE)

/* Leave this call to the hook of the same name in Python. */
#define LEAVE_TO_PYTHON(name) return PyObject_Vectorcall(twins.name, args, count, NULL)

/* Attributes and methods that are asked for by name. */
/* clang-format off */
#define WORDS(WORD)                                                                                \
    WORD(_collected) WORD(_crowd) WORD(_hurry) WORD(_keys) WORD(active) WORD(allocate)             \
    WORD(app) WORD(append) WORD(begin) WORD(blame_min) WORD(clear) WORD(close_connection)          \
    WORD(command) WORD(connection) WORD(end) WORD(endpoint) WORD(failed)                           \
    WORD(forget_connection) WORD(forking) WORD(freeze) WORD(get) WORD(handle) WORD(headers)        \
    WORD(history) WORD(in_child) WORD(kernel) WORD(marks) WORD(method) WORD(output) WORD(path)     \
    WORD(peer_address) WORD(pid) WORD(queue) WORD(raw) WORD(raw_requestline) WORD(read_queue)      \
    WORD(readinto) WORD(remote) WORD(request) WORD(request_version) WORD(requests) WORD(rfile)     \
    WORD(route) WORD(rule) WORD(send) WORD(settings) WORD(take_history) WORD(url_rule)             \
    WORD(view_functions) WORD(wait_of) WORD(watched_readinto) WORD(watched_write) WORD(wfile)      \
    WORD(write)
/* clang-format on */

extern struct words {
    WORDS(DECLARE)
} words;

/* -- small things ------------------------------------------------------------------------------ */

typedef long long Nanoseconds;

/* The time of the marks' clock, as time.monotonic_ns() has it on Linux. */
static inline Nanoseconds
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static inline Nanoseconds
wall_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static inline int
put_time(PyObject **slot, Nanoseconds time)
{
    return put(slot, PyLong_FromLongLong(time));
}

/* The number in a slot; -1 and an exception if it holds none. */
static inline Nanoseconds
time_of(PyObject *number)
{
    return PyLong_AsLongLong(number);
}

/* Whether a number of ours is not 0. */
static inline int
is_set(PyObject *number)
{
    return number != NULL && PyObject_IsTrue(number) == 1;
}

/* -- what the rooms offer each other ----------------------------------------------------------- */

typedef enum { RAW, WAITING, HEAD, APP, RESPONDING, CLOSING = 9 } Stage;

/* module.c */
PyObject *find(PyObject *table, PyObject *object, PyObject *cls);
PyObject *of_this_thread(void);
PyObject *thread_key(void);
PyObject *value(PyObject *values, PyObject *word);
int is_true(PyObject *values, PyObject *word);
int is_forgiven(void);
int is_forked(void);
int mark(PyObject *connection, PyObject *kind, Nanoseconds time, PyObject *payload);
int send_marks(PyObject *connection, PyObject *marks);

/* kernel.c */
PyObject *cookie(int descriptor);
PyObject *ending_of(PyObject *sock);
int read_accepted(PyObject *sock, struct tcp_info *told);
int read_listener(PyObject *sock, struct tcp_info *told);

/* loop.c */
int turn(PyObject *loop, PyObject *state, Nanoseconds time, PyObject *connection);
int read_queue(PyObject *loop, Nanoseconds time);

/* around.c */
PyObject *around(PyObject *module, PyObject *args);
int ready_around(void);

/* request.c */
int put_attribute(PyObject **slot, PyObject *object, PyObject *word);

/* stream.c */
int watch(PyObject *module, PyObject *connection, PyObject *handler);
int unwatch(PyObject *connection);
PyObject *first_byte(PyObject *connection, Nanoseconds time);

#endif
