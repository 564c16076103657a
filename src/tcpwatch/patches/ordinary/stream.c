/* What a handler reads and writes: what patches/streams.py and hub/connection.py do then. */

#include "ordinary.h"

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
    if (-numbers.STEP_NS < wall - expected && wall - expected < numbers.STEP_NS) {
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
    int reads = (stage == HEAD || stage == APP) && CONNECTION(connection)->exchange != Py_None;
    if ((stage != WAITING && !reads) || size == Py_None) {
        return 0;
    }
    Nanoseconds more = PyLong_AsLongLong(size); /* which may call what the host has made */
    if (more == -1 && PyErr_Occurred()) {
        return -1;
    }
    PyObject *exchange = CONNECTION(connection)->exchange;
    if (stage == WAITING) {
        exchange = more ? first_byte(connection, now()) : Py_None;
        if (exchange != NULL && exchange != Py_None) {
            EXCHANGE(exchange)->received = more;
        }
        return exchange == NULL ? -1 : 0;
    }
    if (exchange == Py_None) {
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

/* Read, and see what comes; `count` arguments are for `readinto`. */
PyObject *
read_watched(PyObject *connection, PyObject *readinto, PyObject *const *args, Py_ssize_t count)
{
    Nanoseconds began = CONNECTION(connection)->stage == APP ? now() : 0;
    PyObject *size = PyObject_Vectorcall(readinto, args, count, NULL);
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
watched_readinto(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count < 2 || !is_a(args[0], given.Connection)) {
        LEAVE_TO_PYTHON(watched_readinto);
    }
    return read_watched(args[0], args[1], args + 2, count - 2);
}

/* Write, and see when; `count` arguments are for `write`. */
PyObject *
write_watched(PyObject *connection, PyObject *write, PyObject *const *args, Py_ssize_t count)
{
    PyObject *exchange = Py_NewRef(CONNECTION(connection)->exchange), *size = NULL;
    if (exchange != Py_None && EXCHANGE(exchange)->final &&
        CONNECTION(connection)->stage < RESPONDING) {
        CONNECTION(connection)->stage = RESPONDING;
        EXCHANGE(exchange)->first_write_ns = now();
        if (mark(connection, given.FIRST_WRITE, EXCHANGE(exchange)->first_write_ns, Py_None) < 0) {
            goto end;
        }
    }
    size = PyObject_Vectorcall(write, args, count, NULL);
    if (size == NULL) {
        note_failure(connection);
    } else if (exchange != Py_None) {
        EXCHANGE(exchange)->last_write_ns = now();
    }
end:
    Py_DECREF(exchange);
    return size;
}

PyObject *
watched_write(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count < 2 || !is_a(args[0], given.Connection)) {
        LEAVE_TO_PYTHON(watched_write);
    }
    return write_watched(args[0], args[1], args + 2, count - 2);
}
