/* From one request to the next: what patches/http_server.py and hub/exchanges.py do round
 * handle_one_request().
 */

#include "ordinary.h"

PyObject *
handle_began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = of_this_thread();
    if (connection == NULL) {
        LEAVE_TO_PYTHON(handle_began);
    }
    Nanoseconds stage = CONNECTION(connection)->stage;
    if (stage <= WAITING) {
        Nanoseconds time = CONNECTION(connection)->ready_ns = now();
        if (stage < WAITING) {
            CONNECTION(connection)->stage = WAITING;
            if (mark(connection, given.HTTP_READY, time, Py_None) < 0) {
                goto failed;
            }
            if (watch(connection, args[0]) < 0) {
                goto failed;
            }
        }
    }
    PyObject *token = PyTuple_Pack(2, connection, args[0]);
    Py_DECREF(connection);
    return token;
failed:
    Py_DECREF(connection);
    return NULL;
}

/* Whether the end of an exchange is that of a request: exchanges.end() has the others. */
static int
ends_plainly(PyObject *exchange)
{
    return !EXCHANGE(exchange)->ended && !EXCHANGE(exchange)->cut_short &&
           !EXCHANGE(exchange)->refused && EXCHANGE(exchange)->head_ns;
}

/* exchanges.end_span, of one that has a span */
static int
end_span(PyObject *connection, PyObject *exchange)
{
    if (EXCHANGE(exchange)->span == Py_None) {
        return 0;
    }
    PyObject *output = Py_NewRef(HUB(output)), *none = NULL;
    if (output == Py_None) {
        none = Py_NewRef(Py_None);
    } else {
        none = PyObject_CallFunctionObjArgs(given.end_span, connection, exchange, output, NULL);
    }
    Py_DECREF(output);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* exchanges.end */
static int
end_of(PyObject *connection, PyObject *exchange)
{
    EXCHANGE(exchange)->ended = 1;
    if (EXCHANGE(exchange)->first_write_ns &&
        mark(connection, given.LAST_WRITE, EXCHANGE(exchange)->last_write_ns, Py_None) < 0) {
        return -1;
    }
    if (end_span(connection, exchange) < 0) {
        return -1;
    }
    Nanoseconds time = now(), received = EXCHANGE(exchange)->received;
    int later = 0 < received && received <= numbers.KEPT;
    PyObject *told =
        later ? Py_NewRef(exchange) : PyObject_CallMethodNoArgs(exchange, words.freeze);
    int done = told == NULL ? -1 : mark(connection, given.EXCHANGE_ENDED, time, told);
    Py_XDECREF(told);
    CONNECTION(connection)->ready_ns = time;
    return done;
}

/* Hub.hand_over, as the connection goes idle. */
static int
go_idle(PyObject *connection)
{
    PyObject *none = PyList_New(0); /* first: it may collect garbage, and let others run */
    if (none == NULL) {
        return -1;
    }
    PyObject *marks = CONNECTION(connection)->marks;
    CONNECTION(connection)->marks = none;
    PyObject *at = PyLong_FromLongLong(CONNECTION(connection)->ready_ns);
    int done =
        at == NULL ? -1 : put(&CONNECTION(connection)->tail, PyTuple_Pack(2, given.IDLE, at));
    Py_XDECREF(at);
    if (done == 0 && PyList_GET_SIZE(marks) && !CONNECTION(connection)->over) {
        done = send_marks(connection, marks);
    }
    Py_DECREF(marks);
    return done;
}

/* Take back what was current while the application ran, whatever was raised before. */
static int
release(PyObject *exchange, int done)
{
    PyObject *releases = Py_NewRef(EXCHANGE(exchange)->release);
    if (releases != Py_None) {
        PyObject *kind, *error, *trace;
        PyErr_Fetch(&kind, &error, &trace);
        PyObject *none = PyObject_CallNoArgs(releases);
        if (none != NULL) {
            Py_DECREF(none);
            PyErr_Restore(kind, error, trace);
        } else {
            Py_XDECREF(kind);
            Py_XDECREF(error);
            Py_XDECREF(trace);
            done = -1;
        }
        put_other(&EXCHANGE(exchange)->release, Py_None);
    }
    Py_DECREF(releases);
    return done;
}

static int
keeps_alive(PyObject *handler)
{
    PyObject *closes = PyObject_GetAttr(handler, words.close_connection);
    int stays = closes == NULL ? -1 : PyObject_Not(closes);
    Py_XDECREF(closes);
    return stays;
}

PyObject *
handle_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *token = args[0];
    if (!PyTuple_CheckExact(token) || PyTuple_GET_SIZE(token) != 2 || args[2] != Py_None ||
        !is_a(PyTuple_GET_ITEM(token, 0), given.Connection)) {
        LEAVE_TO_PYTHON(handle_ended);
    }
    PyObject *connection = PyTuple_GET_ITEM(token, 0);
    PyObject *exchange = CONNECTION(connection)->exchange;
    if (exchange == Py_None) {
        Py_RETURN_NONE;
    }
    if (!is_a(exchange, given.Exchange) || !ends_plainly(exchange) || is_forked()) {
        LEAVE_TO_PYTHON(handle_ended);
    }
    Py_INCREF(exchange);
    int stays = keeps_alive(PyTuple_GET_ITEM(token, 1)); /* which may be the host's own property */
    if (stays < 0 || EXCHANGE(exchange)->ended) {
        Py_DECREF(exchange);
        if (stays < 0 && !is_forgiven()) {
            return NULL;
        }
        LEAVE_TO_PYTHON(handle_ended);
    }
    int done = end_of(connection, exchange);
    if (done == 0) {
        CONNECTION(connection)->stage = WAITING;
        done = stays ? go_idle(connection) : 0;
    }
    put_other(&CONNECTION(connection)->exchange, Py_None);
    put_other(&EXCHANGE(exchange)->headers, Py_None);
    done = release(exchange, done);
    Py_DECREF(exchange);
    if (done < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
