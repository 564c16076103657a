/* accept: what hub/registry.py and patches/connections.py do round get_request(). */

#include "ordinary.h"

#define MILLISECOND 1000000LL
#define FACTS 13

PyObject *
get_began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = find(given.loops, args[0], given.Loop);
    if (loop == NULL || !LOOP(loop)->running || LOOP(loop)->spinning || LOOP(loop)->getting ||
        !is_of_this_thread(loop)) {
        Py_XDECREF(loop);
        LEAVE_TO_PYTHON(get_began);
    }
    LOOP(loop)->getting = 1;
    return loop;
}

/* How long a connection has waited in the queue (ns); the kernel counts in jiffies. */
static PyObject *
wait_of(PyObject *loop, __u32 milliseconds, Nanoseconds time)
{
    if (!milliseconds) {
        return PyLong_FromLong(0);
    }
    PyObject *since = PyLong_FromLongLong(milliseconds * MILLISECOND);
    PyObject *at = PyLong_FromLongLong(time);
    PyObject *wait = since == NULL || at == NULL
                         ? NULL
                         : PyObject_CallMethodObjArgs(loop, words.wait_of, since, at, NULL);
    Py_XDECREF(since);
    Py_XDECREF(at);
    return wait;
}

/* Accepted(...); `ids` are a trace id and a span id */
static PyObject *
accepted_of(PyObject *loop, PyObject *sock, PyObject *peer, int descriptor,
            const struct tcp_info *told, PyObject *wait, PyObject *ids, Nanoseconds time)
{
    PyObject *own = LOOP(loop)->own_address, *none = Py_None;
    int traced = PyObject_IsTrue(PyTuple_GET_ITEM(ids, 0));
    PyObject *facts[FACTS] = {
        PyLong_FromLongLong(wall_clock() - (now() - time)),
        Py_NewRef(LOOP(loop)->key),
        Py_NewRef(wait),
        Py_NewRef(LOOP(loop)->depth),
        Py_NewRef(LOOP(loop)->limit),
        PyLong_FromLong(told->tcpi_state),
        Py_NewRef(peer),
        own != none ? Py_NewRef(own) : PyObject_CallOneArg(given.own_address, sock),
        /* To ask for the cookie is to have the kernel make one; see Hub.accept(). */
        traced > 0 ? cookie(descriptor) : Py_NewRef(none),
        told->tcpi_rtt ? PyLong_FromUnsignedLong(told->tcpi_rtt) : Py_NewRef(none),
        PyLong_FromUnsignedLong(told->tcpi_total_retrans),
        Py_NewRef(PyTuple_GET_ITEM(ids, 0)),
        Py_NewRef(PyTuple_GET_ITEM(ids, 1)),
    };
    return tuple_of(given.Accepted, facts, FACTS);
}

/* Connection(key, loop, time, pid, accepted) */
static PyObject *
connection_of(PyObject *key, PyObject *loop, Nanoseconds time, PyObject *accepted)
{
    PyObject *connection = new_connection(given.blank_connection);
    PyObject *at = PyLong_FromLongLong(time);
    if (connection == NULL || at == NULL) {
        goto failed;
    }
    put_other(&CONNECTION(connection)->key, key);
    put_other(&CONNECTION(connection)->loop, loop);
    CONNECTION(connection)->accepted_ns = time;
    CONNECTION(connection)->pid = PyLong_AsLongLong(HUB(pid));
    put_other(&CONNECTION(connection)->accepted, accepted);
    if (put(&CONNECTION(connection)->tail, PyTuple_Pack(2, given.ACCEPT_QUEUE, at)) < 0 ||
        put(&CONNECTION(connection)->marks, PyList_New(0)) < 0 ||
        mark(connection, given.ACCEPTED, time, accepted) < 0) {
        goto failed;
    }
    Py_DECREF(at);
    return connection;
failed:
    Py_XDECREF(connection);
    Py_XDECREF(at);
    return NULL;
}

/* A long wait: the worker gets to know what the loop did meanwhile. */
static int
tell_history(PyObject *loop, PyObject *wait, PyObject *key, Nanoseconds time)
{
    double seconds = PyFloat_AsDouble(SETTING(blame_min));
    Nanoseconds waited = wait == Py_None ? 0 : PyLong_AsLongLong(wait);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (!waited || waited < seconds * 1e9) {
        return 0;
    }
    PyObject *at = PyLong_FromLongLong(time), *history = NULL, *message = NULL, *sent = NULL;
    if (at != NULL) {
        history = PyObject_CallMethodObjArgs(loop, words.take_history, at, key, NULL);
    }
    if (history != NULL) {
        message = PyTuple_Pack(3, words.history, LOOP(loop)->key, history);
    }
    if (message != NULL) {
        sent = PyObject_CallMethodOneArg(given.post, words.send, message);
    }
    Py_XDECREF(at);
    Py_XDECREF(history);
    Py_XDECREF(message);
    Py_XDECREF(sent);
    return sent == NULL ? -1 : 0;
}

/* Hub.bind, of a socket.socket. */
static int
bind_to(PyObject *connection, PyObject *sock)
{
    PyObject *identity = PyLong_FromVoidPtr(sock);
    if (identity == NULL || PyDict_SetItem(given.by_socket, identity, connection) < 0) {
        Py_XDECREF(identity);
        return -1;
    }
    Py_DECREF(identity);
    CONNECTION(connection)->socket_id = (Nanoseconds)(size_t)sock;
    PyObject *reference =
        PyObject_CallFunctionObjArgs(given.SocketRef, sock, given.collected, NULL);
    if (reference == NULL || PyObject_SetAttr(reference, words.connection, connection) < 0) {
        Py_XDECREF(reference);
        return -1;
    }
    put(&CONNECTION(connection)->socket_ref, reference);
    if (CONNECTION(connection)->over) { /* ended by stop() since the accept */
        PyObject *none = PyObject_CallMethodOneArg(given.hub, words.forget_connection, connection);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    return 0;
}

/* Hub.accept, and what comes after it; the accepted connection's address and peer are plain. */
static int
accept_and_bind(PyObject *loop, PyObject *sock, PyObject *peer, PyObject *output, int descriptor,
                const struct tcp_info *told, Nanoseconds time)
{
    int done = -1;
    PyObject *wait = NULL, *key = NULL, *ids = NULL, *accepted = NULL, *connection = NULL;
    LOOP(loop)->accepted++;
    wait = wait_of(loop, told->tcpi_last_data_sent, time);
    if (wait == NULL || read_queue(loop, time) < 0) {
        goto end;
    }
    key = PyIter_Next(HUB(_keys));
    ids = PyObject_CallMethodNoArgs(output, words.allocate);
    if (key == NULL || ids == NULL || !PyTuple_Check(ids) || PyTuple_GET_SIZE(ids) != 2) {
        goto end;
    }
    accepted = accepted_of(loop, sock, peer, descriptor, told, wait, ids, time);
    connection = accepted == NULL ? NULL : connection_of(key, loop, time, accepted);
    if (connection == NULL || PyDict_SetItem(given.connections, key, connection) < 0) {
        goto end;
    }
    put_other(&LOOP(loop)->connection, key);
    if (HUB(active) != Py_True) { /* stop() may have swept in between */
        PyObject *none = PyObject_CallMethodObjArgs(given.hub, words.end, connection,
                                                    given.ABANDONED, given.UNINSTALLED, NULL);
        Py_XDECREF(none);
        done = none == NULL ? -1 : 0;
        goto end;
    }
    if (tell_history(loop, wait, key, time) < 0 || bind_to(connection, sock) < 0) {
        goto end;
    }
    done = turn(loop, given.LOOP_DISPATCH, now(), key);
end:
    if (done < 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError, "hub.output.allocate() gave no pair of ids");
    }
    Py_XDECREF(wait);
    Py_XDECREF(key);
    Py_XDECREF(ids);
    Py_XDECREF(accepted);
    Py_XDECREF(connection);
    return done;
}

/* Whether nothing about this accept wants Python: no error before it, IPv4, somebody to tell. */
static int
is_ordinary(PyObject *loop, PyObject *result, PyObject *error)
{
    return is_a(loop, given.Loop) && error == Py_None && PyTuple_CheckExact(result) &&
           PyTuple_GET_SIZE(result) == 2 && is_a(PyTuple_GET_ITEM(result, 0), given.socket) &&
           !LOOP(loop)->failures && LOOP(loop)->accepting == Py_None && LOOP(loop)->plain_peers &&
           PyTuple_GET_ITEM(LOOP(loop)->listener, numbers.FORKING) == Py_False &&
           is_a(HUB(kernel), given.Kernel) && HUB(active) == Py_True && HUB(output) != Py_None &&
           is_a(HUB(settings), given.Settings) && SETTING(peer_address) == Py_True && !is_forked();
}

PyObject *
get_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = args[0], *result = args[1];
    Nanoseconds time = now();
    struct tcp_info told;
    int descriptor = -1;
    if (is_ordinary(loop, result, args[2])) {
        descriptor = read_accepted(PyTuple_GET_ITEM(result, 0), &told);
    }
    if (descriptor < 0) {
        LEAVE_TO_PYTHON(get_ended);
    }
    LOOP(loop)->getting = 0;
    PyObject *output = Py_NewRef(HUB(output));
    int done = accept_and_bind(loop, PyTuple_GET_ITEM(result, 0), PyTuple_GET_ITEM(result, 1),
                               output, descriptor, &told, time);
    Py_DECREF(output);
    if (done < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
