/* What the hooks in C share: what Python has given them, and the slots of our objects.
 *
 * The rule of this folder: a hook knows the ordinary case. Whatever else it sees it leaves to the
 * hook of the same name in Python, before it has changed anything; so Python says what is right,
 * and here is said only what is quick.
 */

#ifndef TCPWATCH_ORDINARY_H
#define TCPWATCH_ORDINARY_H

#include "../../hub/compiled/states.h"

#include <linux/tcp.h>
#include <stddef.h>
#include <time.h>

#ifndef __linux__
#error "Marks are times of Linux's CLOCK_MONOTONIC, and connections are asked for Linux's TCP_INFO."
#endif

/* -- the slots of our objects ------------------------------------------------------------------ */

/* clang-format off */
#define HUB_SLOTS(SLOT)                                                                            \
    SLOT(_keys) SLOT(active) SLOT(kernel) SLOT(output) SLOT(pid) SLOT(self_ns) SLOT(settings)

#define POST_SLOTS(SLOT) SLOT(_crowd) SLOT(in_child) SLOT(queue) SLOT(remote)

#define SETTINGS_SLOTS(SLOT) SLOT(blame_min) SLOT(peer_address)
/* clang-format on */

extern struct slots {
    struct {
        HUB_SLOTS(OFFSET)
    } hub;
    struct {
        POST_SLOTS(OFFSET)
    } post;
    struct {
        SETTINGS_SLOTS(OFFSET)
    } settings;
} slots;

/* What the hub, its post and its settings hold now. */
#define HUB(name) AT(given.hub, slots.hub.name)
#define POST(name) AT(given.post, slots.post.name)
#define SETTING(name) AT(HUB(settings), slots.settings.name)

/* -- what Python gives ------------------------------------------------------------------------- */

/* Classes, tables, functions and constants; `connect` says where they come from. */
/* clang-format off */
#define GIVEN(THING)                                                                               \
    THING(Accepted) THING(BaseHTTPRequestHandler) THING(Connection) THING(Exchange) THING(Hub)     \
    THING(Kernel) THING(Loop) THING(Message) THING(Post) THING(Settings) THING(SocketIO)           \
    THING(SocketRef) THING(SocketWriter) THING(socket) THING(adopt_flask) THING(application)       \
    THING(blank_connection) THING(blank_exchange) THING(by_socket) THING(collected)                \
    THING(connected) THING(connections) THING(end_span) THING(handle_code) THING(hub)              \
    THING(is_refused) THING(known_views) THING(loops) THING(note_blocking) THING(own_address)      \
    THING(post) THING(received) THING(serving) THING(unwatch) THING(view_of) THING(watch)          \
    THING(ABANDONED) THING(ACCEPTED) THING(CLOSED) THING(EXCHANGE_ENDED) THING(FIRST_BYTE)         \
    THING(FIRST_WRITE) THING(HANDLER_BEGAN) THING(HANDLER_ENDED) THING(HEAD_PARSED)                \
    THING(HTTP_READY) THING(LAST_WRITE) THING(ACCEPT_QUEUE) THING(IDLE) THING(INLINE)              \
    THING(LOOP_ACCEPT) THING(LOOP_DISPATCH) THING(LOOP_IDLE) THING(LOOP_INLINE)                    \
    THING(LOOP_SERVICE) THING(LOOP_TLS_HANDSHAKE) THING(THREAD) THING(UNINSTALLED)

/* Limits, and places in tuples. */
#define NUMBERS(NUMBER)                                                                            \
    NUMBER(FORKING) NUMBER(KEPT) NUMBER(SHORTEST_ACTIVITY_NS) NUMBER(STEP_NS)                      \
    NUMBER(TELLING_SIZE) NUMBER(WALL)
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
} given;

extern struct numbers {
    NUMBERS(DECLARE_NUMBER)
} numbers;

extern struct in_python {
    HOOKS(DECLARE)
} in_python;

HOOKS(PROTOTYPE)

/* Attributes and methods that are asked for by name. */
/* clang-format off */
#define WORDS(WORD)                                                                                \
    WORD(_hurry) WORD(allocate) WORD(app) WORD(append) WORD(began) WORD(begin) WORD(clear)         \
    WORD(close_connection) WORD(command) WORD(connection) WORD(end) WORD(endpoint) WORD(failed)    \
    WORD(fileno) WORD(forget_connection) WORD(freeze) WORD(get) WORD(handle) WORD(headers)         \
    WORD(history) WORD(marks) WORD(method) WORD(path) WORD(raw) WORD(raw_requestline)              \
    WORD(read_queue) WORD(readinto) WORD(request) WORD(request_version) WORD(requests) WORD(rfile) \
    WORD(route) WORD(rule) WORD(send) WORD(server) WORD(take_history) WORD(url_rule)               \
    WORD(view_functions) WORD(wait_of) WORD(wfile) WORD(write)
/* clang-format on */

extern struct words {
    WORDS(DECLARE)
} words;

/* -- small things ------------------------------------------------------------------------------ */

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

/* -- what the rooms offer each other ----------------------------------------------------------- */

typedef enum { RAW, WAITING, HEAD, APP, RESPONDING, CLOSING = 9 } Stage;

/* module.c */
PyObject *find(PyObject *table, PyObject *object, PyObject *cls);
PyObject *of_this_thread(void);
PyObject *thread_key(void);
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
int is_of_this_thread(PyObject *loop);
int turn(PyObject *loop, PyObject *state, Nanoseconds time, PyObject *connection);
int read_queue(PyObject *loop, Nanoseconds time);

/* around.c */
PyObject *around(PyObject *module, PyObject *args);
int ready_around(void);

/* request.c */
int put_attribute(PyObject **slot, PyObject *object, PyObject *word);

/* stream.c */
PyObject *first_byte(PyObject *connection, Nanoseconds time);
PyObject *read_watched(PyObject *connection, PyObject *readinto, PyObject *const *args,
                       Py_ssize_t count);
PyObject *write_watched(PyObject *connection, PyObject *write, PyObject *const *args,
                        Py_ssize_t count);

/* watching.c */
int ready_watcher(void);
int watch(PyObject *connection, PyObject *handler);
int unwatch(PyObject *connection);

#endif
