/* accept: what hub/registry.py and patches/connections.py do round get_request(). */

#include "ordinary.h"

#define MILLISECOND 1000000LL
#define FACTS 13

PyObject *
get_began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = find(given.loops, args[0], given.Loop);
    if (loop == NULL || LOOP(loop, running) != Py_True || LOOP(loop, spinning) != Py_False ||
        LOOP(loop, getting) != Py_False) {
        Py_XDECREF(loop);
        LEAVE_TO_PYTHON(get_began);
    }
    unsigned long thread = PyLong_AsUnsignedLong(LOOP(loop, thread_id));
    if (thread != PyThread_get_thread_ident()) {
        PyErr_Clear();
        Py_DECREF(loop);
        LEAVE_TO_PYTHON(get_began);
    }
    put_other(&LOOP(loop, getting), Py_True);
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

/* The fields of `Accepted`; `ids` are a trace id and a span id. */
static PyObject *
facts_of(PyObject *loop, PyObject *sock, PyObject *peer, int descriptor,
         const struct tcp_info *told, PyObject *wait, PyObject *ids, Nanoseconds time)
{
    PyObject *own = LOOP(loop, own_address);
    int traced = PyObject_IsTrue(PyTuple_GET_ITEM(ids, 0));
    PyObject *wall = PyLong_FromLongLong(wall_clock() - (now() - time));
    PyObject *state = PyLong_FromLong(told->tcpi_state);
    PyObject *rtt = told->tcpi_rtt ? PyLong_FromUnsignedLong(told->tcpi_rtt) : Py_NewRef(Py_None);
    PyObject *again = PyLong_FromUnsignedLong(told->tcpi_total_retrans);
    PyObject *local =
        own != Py_None ? Py_NewRef(own) : PyObject_CallOneArg(given.own_address, sock);
    /* To ask for the cookie is to have the kernel make one; see Hub.accept(). */
    PyObject *id = traced > 0 ? cookie(descriptor) : Py_NewRef(Py_None);
    PyObject *facts = NULL;
    if (traced >= 0 && wall && state && rtt && again && local && id) {
        facts = PyTuple_Pack(FACTS, wall, LOOP(loop, key), wait, LOOP(loop, depth),
                             LOOP(loop, limit), state, peer, local, id, rtt, again,
                             PyTuple_GET_ITEM(ids, 0), PyTuple_GET_ITEM(ids, 1));
    }
    Py_XDECREF(wall);
    Py_XDECREF(state);
    Py_XDECREF(rtt);
    Py_XDECREF(again);
    Py_XDECREF(local);
    Py_XDECREF(id);
    return facts;
}

/* A NamedTuple of a tuple that has its fields. */
static PyObject *
accepted_of(PyObject *facts)
{
    PyObject *args = PyTuple_Pack(1, facts);
    PyObject *made =
        args == NULL ? NULL : PyTuple_Type.tp_new((PyTypeObject *)given.Accepted, args, NULL);
    Py_XDECREF(args);
    return made;
}

/* Connection(key, loop, time, pid, facts) */
static PyObject *
connection_of(PyObject *key, PyObject *loop, Nanoseconds time, PyObject *facts)
{
    PyObject *connection = blank_of(given.Connection, given.blank_connection);
    PyObject *at = PyLong_FromLongLong(time);
    if (connection == NULL || at == NULL) {
        goto failed;
    }
    put_other(&CONNECTION(connection, key), key);
    put_other(&CONNECTION(connection, loop), loop);
    put_other(&CONNECTION(connection, accepted_ns), at);
    if (put(&CONNECTION(connection, pid), Py_XNewRef(value(given.hub_values, words.pid))) < 0 ||
        put(&CONNECTION(connection, accepted), accepted_of(facts)) < 0 ||
        put(&CONNECTION(connection, tail), PyTuple_Pack(2, given.ACCEPT_QUEUE, at)) < 0 ||
        put(&CONNECTION(connection, marks), PyList_New(0)) < 0 ||
        mark(connection, given.ACCEPTED, time, facts) < 0) {
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
tell_history(PyObject *loop, PyObject *wait, PyObject *settings, PyObject *key, Nanoseconds time)
{
    PyObject *blame_min = PyObject_GetAttr(settings, words.blame_min);
    double seconds = blame_min == NULL ? -1 : PyFloat_AsDouble(blame_min);
    Py_XDECREF(blame_min);
    if (seconds == -1 && PyErr_Occurred()) {
        return -1;
    }
    Nanoseconds waited = wait == Py_None ? 0 : time_of(wait);
    if (waited == -1 && PyErr_Occurred()) {
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
        message = PyTuple_Pack(3, words.history, LOOP(loop, key), history);
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
    put(&CONNECTION(connection, socket_id), identity);
    PyObject *collected = PyObject_GetAttr(given.hub, words._collected);
    PyObject *reference =
        collected == NULL ? NULL
                          : PyObject_CallFunctionObjArgs(given.SocketRef, sock, collected, NULL);
    Py_XDECREF(collected);
    if (reference == NULL || PyObject_SetAttr(reference, words.connection, connection) < 0) {
        Py_XDECREF(reference);
        return -1;
    }
    put(&CONNECTION(connection, socket_ref), reference);
    if (CONNECTION(connection, over) == Py_True) { /* ended by stop() since the accept */
        PyObject *none = PyObject_CallMethodOneArg(given.hub, words.forget_connection, connection);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    return 0;
}

/* Hub.accept, and what comes after it; the accepted connection's address and peer are plain. */
static int
accept_and_bind(PyObject *loop, PyObject *sock, PyObject *peer, PyObject *output,
                PyObject *settings, int descriptor, const struct tcp_info *told, Nanoseconds time)
{
    int done = -1;
    PyObject *wait = NULL, *key = NULL, *ids = NULL, *facts = NULL, *connection = NULL;
    PyObject *number = PyNumber_Add(LOOP(loop, accepted), Py_True);
    PyObject *keys = Py_XNewRef(value(given.hub_values, words._keys));
    if (put(&LOOP(loop, accepted), number) < 0 || keys == NULL) {
        goto end;
    }
    wait = wait_of(loop, told->tcpi_last_data_sent, time);
    if (wait == NULL || read_queue(loop, time) < 0) {
        goto end;
    }
    key = PyIter_Next(keys);
    ids = PyObject_CallMethodNoArgs(output, words.allocate);
    if (key == NULL || ids == NULL || !PyTuple_Check(ids) || PyTuple_GET_SIZE(ids) != 2) {
        goto end;
    }
    facts = facts_of(loop, sock, peer, descriptor, told, wait, ids, time);
    connection = facts == NULL ? NULL : connection_of(key, loop, time, facts);
    if (connection == NULL || PyDict_SetItem(given.connections, key, connection) < 0) {
        goto end;
    }
    put_other(&LOOP(loop, connection), key);
    if (!is_true(given.hub_values, words.active)) { /* stop() may have swept in between */
        PyObject *none = PyObject_CallMethodObjArgs(given.hub, words.end, connection,
                                                    given.ABANDONED, given.UNINSTALLED, NULL);
        Py_XDECREF(none);
        done = none == NULL ? -1 : 0;
        goto end;
    }
    if (tell_history(loop, wait, settings, key, time) < 0 || bind_to(connection, sock) < 0) {
        goto end;
    }
    done = turn(loop, given.LOOP_DISPATCH, now(), key);
end:
    if (done < 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError, "hub.output.allocate() gave no pair of ids");
    }
    Py_XDECREF(keys);
    Py_XDECREF(wait);
    Py_XDECREF(key);
    Py_XDECREF(ids);
    Py_XDECREF(facts);
    Py_XDECREF(connection);
    return done;
}

/* Whether an attribute of an object, which nobody computes, is True. */
static int
has(PyObject *object, PyObject *word)
{
    PyObject *found = PyObject_GetAttr(object, word);
    Py_XDECREF(found);
    return found == Py_True;
}

/* Whether nothing about this accept wants Python: no error before it, IPv4, somebody to tell. */
static int
is_ordinary(PyObject *loop, PyObject *result, PyObject *error)
{
    return is_a(loop, given.Loop) && error == Py_None && PyTuple_CheckExact(result) &&
           PyTuple_GET_SIZE(result) == 2 && is_a(PyTuple_GET_ITEM(result, 0), given.socket) &&
           !is_set(LOOP(loop, failures)) && LOOP(loop, accepting) == Py_None &&
           LOOP(loop, plain_peers) == Py_True && !has(LOOP(loop, listener), words.forking) &&
           is_a(value(given.hub_values, words.kernel), given.Kernel) &&
           is_true(given.hub_values, words.active) && !is_forked();
}

PyObject *
get_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = args[0], *result = args[1];
    Nanoseconds time = now();
    struct tcp_info told;
    int descriptor = -1, done = 0;
    if (is_ordinary(loop, result, args[2])) {
        descriptor = read_accepted(PyTuple_GET_ITEM(result, 0), &told);
    }
    PyObject *output = Py_XNewRef(value(given.hub_values, words.output));
    PyObject *settings = Py_XNewRef(value(given.hub_values, words.settings));
    int ordinary = descriptor >= 0 && output != NULL && output != Py_None && settings != NULL &&
                   has(settings, words.peer_address);
    if (ordinary) {
        put_other(&LOOP(loop, getting), Py_False);
        done = accept_and_bind(loop, PyTuple_GET_ITEM(result, 0), PyTuple_GET_ITEM(result, 1),
                               output, settings, descriptor, &told, time);
    }
    Py_XDECREF(output);
    Py_XDECREF(settings);
    if (!ordinary) {
        PyErr_Clear();
        LEAVE_TO_PYTHON(get_ended);
    }
    if (done < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
