/* What a handler reads and writes: what patches/streams.py and hub/connection.py do then. */

#include "ordinary.h"

/* A step of the wall clock; less is a slow thread, or a clock that is slewed by NTP. */
#define STEP_NS 100000000LL

/* Connection.first_byte; returns a borrowed reference. */
PyObject *
first_byte(PyObject *connection, Nanoseconds time)
{
    PyObject *at_accept = CONNECTION(connection)->accepted;
    Nanoseconds accepted = PyLong_AsLongLong(PyTuple_GET_ITEM(at_accept, numbers.WALL));
    if (PyErr_Occurred()) {
        return NULL;
    }
    Nanoseconds wall = wall_clock(),
                expected = accepted + time - CONNECTION(connection)->accepted_ns;
    if (-STEP_NS < wall - expected && wall - expected < STEP_NS) {
        wall = expected;
    }
    PyObject *exchange = new_exchange(given.blank_exchange);
    PyObject *on_the_wall = PyLong_FromLongLong(wall);
    if (exchange == NULL || on_the_wall == NULL) {
        Py_XDECREF(exchange);
        Py_XDECREF(on_the_wall);
        return NULL;
    }
    EXCHANGE(exchange)->sequence = ++CONNECTION(connection)->sequence;
    EXCHANGE(exchange)->first_byte_ns = time;
    EXCHANGE(exchange)->wall_ns = wall;
    CONNECTION(connection)->stage = HEAD;
    put(&CONNECTION(connection)->exchange, exchange);
    int done = mark(connection, given.FIRST_BYTE, time, on_the_wall);
    Py_DECREF(on_the_wall);
    return done < 0 ? NULL : exchange;
}

/* Connection.failed, if what was raised is an OSError; it is raised on. */
static void
note_failure(PyObject *connection)
{
    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        return;
    }
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyErr_NormalizeException(&kind, &error, &trace);
    PyObject *none = PyObject_CallMethodOneArg(connection, words.failed, error);
    if (none != NULL) {
        Py_DECREF(none);
        PyErr_Restore(kind, error, trace);
        return;
    }
    Py_XDECREF(kind); /* a signal handler's exception goes first */
    Py_XDECREF(error);
    Py_XDECREF(trace);
}

/* What a read of so many bytes means, while a request is read. */
static int
note_read(PyObject *connection, PyObject *size, Nanoseconds began)
{
    Nanoseconds stage = CONNECTION(connection)->stage;
    PyObject *exchange = CONNECTION(connection)->exchange;
    if (size == Py_None) {
        return 0;
    }
    Nanoseconds more = PyLong_AsLongLong(size);
    if (more == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (stage == WAITING) {
        exchange = more ? first_byte(connection, now()) : Py_None;
        if (exchange != NULL && exchange != Py_None) {
            EXCHANGE(exchange)->received = more;
        }
        return exchange == NULL ? -1 : 0;
    }
    if ((stage != HEAD && stage != APP) || exchange == Py_None) {
        return 0;
    }
    if (!more) { /* the client's end: Python knows whether it came too early */
        PyObject *since = PyLong_FromLongLong(began);
        PyObject *none = since == NULL ? NULL
                                       : PyObject_CallFunctionObjArgs(given.received, connection,
                                                                      size, since, NULL);
        Py_XDECREF(since);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    EXCHANGE(exchange)->body_wait_ns += began ? now() - began : 0;
    EXCHANGE(exchange)->received += more;
    return 0;
}

PyObject *
watched_readinto(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = args[0], *readinto = args[1];
    if (!is_a(connection, given.Connection)) {
        LEAVE_TO_PYTHON(watched_readinto);
    }
    Nanoseconds began = CONNECTION(connection)->stage == APP ? now() : 0;
    PyObject *size = PyObject_Vectorcall(readinto, args + 2, count - 2, NULL);
    if (size == NULL) {
        note_failure(connection);
        return NULL;
    }
    if (note_read(connection, size, began) < 0) {
        Py_CLEAR(size);
    }
    return size;
}

PyObject *
watched_write(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = args[0], *write = args[1];
    if (!is_a(connection, given.Connection)) {
        LEAVE_TO_PYTHON(watched_write);
    }
    PyObject *exchange = Py_NewRef(CONNECTION(connection)->exchange), *size = NULL;
    if (exchange != Py_None && EXCHANGE(exchange)->final &&
        CONNECTION(connection)->stage < RESPONDING) {
        CONNECTION(connection)->stage = RESPONDING;
        EXCHANGE(exchange)->first_write_ns = now();
        if (mark(connection, given.FIRST_WRITE, EXCHANGE(exchange)->first_write_ns, Py_None) < 0) {
            goto end;
        }
    }
    size = PyObject_Vectorcall(write, args + 2, count - 2, NULL);
    if (size == NULL) {
        note_failure(connection);
    } else if (exchange != Py_None) {
        EXCHANGE(exchange)->last_write_ns = now();
    }
end:
    Py_DECREF(exchange);
    return size;
}

/* -- watching ---------------------------------------------------------------------------------- */

/* Put our function in front of a method of this object: an attribute of its own, which is returned.
 */
static PyObject *
put_before(PyObject *object, PyObject *word, PyObject *ours, PyObject *connection)
{
    PyObject *theirs = PyObject_GetAttr(object, word);
    PyObject *both = theirs == NULL ? NULL
                                    : PyObject_CallFunctionObjArgs(given.partial, ours, connection,
                                                                   theirs, NULL);
    Py_XDECREF(theirs);
    if (both != NULL && PyObject_SetAttr(object, word, both) < 0) {
        Py_CLEAR(both);
    }
    return both;
}

/* Watch the streams of these, which are as the standard library's handlers have them. */
static int
watch_both(PyObject *module, PyObject *connection, PyObject *raw, PyObject *wfile)
{
    int done = -1;
    PyObject *reads = PyObject_GetAttr(module, words.watched_readinto);
    PyObject *writes = reads == NULL ? NULL : PyObject_GetAttr(module, words.watched_write);
    PyObject *reader = writes == NULL ? NULL : put_before(raw, words.readinto, reads, connection);
    PyObject *writer = reader == NULL ? NULL : put_before(wfile, words.write, writes, connection);
    if (writer != NULL) {
        done =
            put(&CONNECTION(connection)->handled_by, PyTuple_Pack(4, raw, reader, wfile, writer));
    }
    Py_XDECREF(reads);
    Py_XDECREF(writes);
    Py_XDECREF(reader);
    Py_XDECREF(writer);
    return done;
}

/* streams.watch */
int
watch(PyObject *module, PyObject *connection, PyObject *handler)
{
    int done = -1;
    PyObject *rfile = PyObject_GetAttr(handler, words.rfile);
    PyObject *raw = rfile == NULL ? NULL : PyObject_GetAttr(rfile, words.raw);
    PyObject *wfile = raw == NULL ? NULL : PyObject_GetAttr(handler, words.wfile);
    if (is_a(raw, given.SocketIO) && is_a(wfile, given.SocketWriter)) {
        done = watch_both(module, connection, raw, wfile);
    } else if (is_forgiven()) {
        PyObject *none = PyObject_CallFunctionObjArgs(given.watch, connection, handler, NULL);
        done = none == NULL ? -1 : 0;
        Py_XDECREF(none);
    }
    Py_XDECREF(rfile);
    Py_XDECREF(raw);
    Py_XDECREF(wfile);
    return done;
}

/* Take an attribute of ours off again, unless somebody has put theirs in its place. */
static int
take_off(PyObject *object, PyObject *word, PyObject *ours)
{
    PyObject *own = PyObject_GenericGetDict(object, NULL);
    PyObject *found = own == NULL ? NULL : PyDict_GetItemWithError(own, word);
    int done = PyErr_Occurred() ? -1 : 0;
    if (found != NULL && found == ours) {
        done = PyObject_SetAttr(object, word, NULL);
    }
    Py_XDECREF(own);
    return done;
}

/* streams.unwatch */
int
unwatch(PyObject *connection)
{
    PyObject *parts = CONNECTION(connection)->handled_by;
    if (!PyTuple_CheckExact(parts) || PyTuple_GET_SIZE(parts) != 4 ||
        !is_a(PyTuple_GET_ITEM(parts, 0), given.SocketIO) ||
        !is_a(PyTuple_GET_ITEM(parts, 2), given.SocketWriter)) {
        PyObject *none = PyObject_CallOneArg(given.unwatch, connection);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    CONNECTION(connection)->handled_by = Py_NewRef(Py_None);
    int done = take_off(PyTuple_GET_ITEM(parts, 0), words.readinto, PyTuple_GET_ITEM(parts, 1));
    if (done == 0) {
        done = take_off(PyTuple_GET_ITEM(parts, 2), words.write, PyTuple_GET_ITEM(parts, 3));
    }
    Py_DECREF(parts);
    return done;
}
