/* What serving threads write on: a connection, its exchange and the loop that has accepted it.
 *
 * The classes are those of hub/connection.py and hub/loop.py, which say what a field means; here is
 * said what it is made of. A time in a field of its own costs no object, and needs no look-up.
 */

#ifndef TCPWATCH_STATES_H
#define TCPWATCH_STATES_H

#include "../../core/compiled/twins.h"

typedef long long Nanoseconds;

/* OBJECT holds anything, NUMBER times (ns), counts and ids, FLAG True or False. */
/* clang-format off */
#define CONNECTION_FIELDS(OBJECT, NUMBER, FLAG)                                                    \
    OBJECT(accepted) OBJECT(application) OBJECT(dispatch) OBJECT(exchange) OBJECT(flags)           \
    OBJECT(handled_by) OBJECT(key) OBJECT(loop) OBJECT(marks) OBJECT(socket_ref) OBJECT(tail)      \
    OBJECT(trace_state)                                                                            \
    NUMBER(accepted_ns) NUMBER(handler_ns) NUMBER(pid) NUMBER(ready_ns) NUMBER(sequence)           \
    NUMBER(socket_id) NUMBER(stage) NUMBER(tls_ns)                                                 \
    FLAG(forked) FLAG(handling) FLAG(over) FLAG(stream_failed)

#define EXCHANGE_FIELDS(OBJECT, NUMBER, FLAG)                                                      \
    OBJECT(error) OBJECT(fields) OBJECT(headers) OBJECT(method) OBJECT(release)                    \
    OBJECT(request_line) OBJECT(route) OBJECT(scheme) OBJECT(span) OBJECT(span_facts)              \
    OBJECT(status) OBJECT(target) OBJECT(version) OBJECT(view)                                     \
    NUMBER(body_wait_ns) NUMBER(first_byte_ns) NUMBER(first_write_ns) NUMBER(head_ns)              \
    NUMBER(last_write_ns) NUMBER(received) NUMBER(sequence) NUMBER(wall_ns)                        \
    FLAG(cut_short) FLAG(ended) FLAG(excluded) FLAG(final) FLAG(peer_instrumented) FLAG(refused)

#define LOOP_FIELDS(OBJECT, NUMBER, FLAG)                                                          \
    OBJECT(_drops_at_start) OBJECT(_failing_errno) OBJECT(_told) OBJECT(accept_errors)             \
    OBJECT(accepting) OBJECT(blocked_ns) OBJECT(connection) OBJECT(depth) OBJECT(failing_with)     \
    OBJECT(history) OBJECT(kept) OBJECT(kernel) OBJECT(key) OBJECT(label) OBJECT(limit)            \
    OBJECT(listener) OBJECT(own_address) OBJECT(sock) OBJECT(state)                                \
    NUMBER(accept_ns) NUMBER(accepted) NUMBER(away_since) NUMBER(depth_zero_ns)                    \
    NUMBER(dispatch_ns) NUMBER(failures) NUMBER(idle_ns) NUMBER(inline_ns)                         \
    NUMBER(select_returned_ns) NUMBER(service_ns) NUMBER(since_ns) NUMBER(thread_id)               \
    NUMBER(tls_handshake_ns)                                                                       \
    FLAG(by_hand) FLAG(getting) FLAG(plain_peers) FLAG(running) FLAG(services) FLAG(slept)         \
    FLAG(spinning)
/* clang-format on */

#define OBJECT_FIELD(name) PyObject *name;
#define NUMBER_FIELD(name) Nanoseconds name;
#define FLAG_FIELD(name) char name;

typedef struct {
    PyObject_HEAD
    CONNECTION_FIELDS(OBJECT_FIELD, NUMBER_FIELD, FLAG_FIELD)
} Connection;

typedef struct {
    PyObject_HEAD
    EXCHANGE_FIELDS(OBJECT_FIELD, NUMBER_FIELD, FLAG_FIELD)
} Exchange;

typedef struct {
    PyObject_HEAD
    LOOP_FIELDS(OBJECT_FIELD, NUMBER_FIELD, FLAG_FIELD)
} Loop;

#define CONNECTION(object) ((Connection *)(object))
#define EXCHANGE(object) ((Exchange *)(object))
#define LOOP(object) ((Loop *)(object))

/* Whether a class has the fields of one of these, and nothing else: -1 and TypeError if not. */
static inline int
has_fields(PyObject *cls, const char *name, Py_ssize_t size)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    if (!PyType_Check(cls) || type->tp_basicsize != size || type->tp_base == NULL ||
        strcmp(type->tp_base->tp_name, name) != 0) {
        PyErr_Format(PyExc_TypeError, "%R has not the fields of %s", cls, name);
        return -1;
    }
    return 0;
}

#define HAS_FIELDS(cls) has_fields(given.cls, "tcpwatch.hub.compiled." #cls, sizeof(cls))

#define NO_FIELD(name)
#define SHARE(name) Py_XINCREF(made->name);

/* Return a new object with what is in the fields of another one of its class. */
#define COPIES(cls, function, FIELDS)                                                              \
    static inline PyObject *function(PyObject *other)                                              \
    {                                                                                              \
        PyTypeObject *type = Py_TYPE(other);                                                       \
        cls *made = (cls *)type->tp_alloc(type, 0);                                                \
        if (made != NULL) {                                                                        \
            memcpy((char *)made + sizeof(PyObject), (char *)other + sizeof(PyObject),              \
                   sizeof(cls) - sizeof(PyObject));                                                \
            FIELDS(SHARE, NO_FIELD, NO_FIELD)                                                      \
        }                                                                                          \
        return (PyObject *)made;                                                                   \
    }

COPIES(Connection, new_connection, CONNECTION_FIELDS)
COPIES(Exchange, new_exchange, EXCHANGE_FIELDS)

#endif
