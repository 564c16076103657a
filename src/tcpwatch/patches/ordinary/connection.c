/* One connection's handler and close: what patches/connections.py and hub/registry.py do there. */

#include "ordinary.h"

static int
token_parts(PyObject *token, PyObject **connection, PyObject **other)
{
    if (!PyTuple_CheckExact(token) || PyTuple_GET_SIZE(token) != 2 ||
        !is_a(PyTuple_GET_ITEM(token, 0), given.Connection)) {
        return 0;
    }
    *connection = PyTuple_GET_ITEM(token, 0);
    *other = PyTuple_GET_ITEM(token, 1);
    return 1;
}

/* -- the handler ------------------------------------------------------------------------------- */

PyObject *
finish_began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = count > 1 ? find(given.by_socket, args[1], given.Connection) : NULL;
    if (connection == NULL || CONNECTION(connection)->handling || is_forked()) {
        Py_XDECREF(connection);
        LEAVE_TO_PYTHON(finish_began);
    }
    Nanoseconds time = now();
    PyObject *loop = CONNECTION(connection)->loop, *token = NULL;
    PyObject *here = thread_key();
    int inside = is_of_this_thread(loop);
    if (here == NULL) {
        goto end;
    }
    CONNECTION(connection)->handling = 1;
    CONNECTION(connection)->handler_ns = time;
    PyObject *dispatch = inside ? given.INLINE : given.THREAD;
    if (inside && turn(loop, given.LOOP_INLINE, time, CONNECTION(connection)->key) < 0) {
        goto end;
    }
    put_other(&CONNECTION(connection)->dispatch, dispatch);
    if (mark(connection, given.HANDLER_BEGAN, time, dispatch) < 0) {
        goto end;
    }
    PyObject *outer = PyDict_GetItemWithError(given.serving, here);
    if (outer == NULL && PyErr_Occurred()) {
        goto end;
    }
    outer = Py_NewRef(outer == NULL ? Py_None : outer);
    token = PyTuple_Pack(2, connection, outer);
    Py_DECREF(outer);
    if (PyDict_SetItem(given.serving, here, connection) < 0) {
        Py_CLEAR(token);
    }
end:
    Py_XDECREF(here);
    Py_DECREF(connection);
    return token;
}

/* Who this thread serves now is nobody, or whom it served before. */
static int
serve_again(PyObject *outer)
{
    PyObject *here = thread_key();
    if (here == NULL) {
        return -1;
    }
    int done = 0;
    if (outer != Py_None && !CONNECTION(outer)->over) {
        done = PyDict_SetItem(given.serving, here, outer);
    } else if (PyDict_DelItem(given.serving, here) < 0) {
        PyErr_Clear();
    }
    Py_DECREF(here);
    return done;
}

PyObject *
finish_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection, *outer;
    if (args[2] != Py_None || !token_parts(args[0], &connection, &outer) ||
        (outer != Py_None && !is_a(outer, given.Connection))) {
        LEAVE_TO_PYTHON(finish_ended);
    }
    if (serve_again(outer) < 0) {
        return NULL;
    }
    CONNECTION(connection)->handling = 0;
    if (CONNECTION(connection)->handled_by != Py_None && unwatch(connection) < 0) {
        return NULL;
    }
    if (!CONNECTION(connection)->over &&
        mark(connection, given.HANDLER_ENDED, now(), Py_None) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- close ------------------------------------------------------------------------------------- */

PyObject *
close_began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = count > 1 ? find(given.by_socket, args[1], given.Connection) : NULL;
    if (connection == NULL || CONNECTION(connection)->dispatch == Py_None ||
        CONNECTION(connection)->forked || CONNECTION(connection)->stage == CLOSING ||
        !is_a(args[1], given.socket)) {
        Py_XDECREF(connection);
        LEAVE_TO_PYTHON(close_began);
    }
    PyObject *ending = is_a(HUB(kernel), given.Kernel) ? ending_of(args[1]) : NULL;
    if (ending == NULL) {
        Py_DECREF(connection);
        LEAVE_TO_PYTHON(close_began);
    }
    CONNECTION(connection)->stage = CLOSING;
    PyObject *token = PyTuple_Pack(2, connection, ending);
    Py_DECREF(connection);
    Py_DECREF(ending);
    return token;
}

/* note_blocking, of a connection whose handler ran in the loop for long. */
static int
note_if_long(PyObject *connection)
{
    double least = PyFloat_AsDouble(SETTING(blame_min));
    if (PyErr_Occurred()) {
        return -1;
    }
    if ((now() - LOOP(CONNECTION(connection)->loop)->since_ns) / 1e9 < least) {
        return 0;
    }
    PyObject *none =
        PyObject_CallFunctionObjArgs(given.note_blocking, connection, given.LOOP_INLINE, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* table.pop(key, None); the key's reference is taken over */
static void
forget(PyObject *table, PyObject *key)
{
    if (key == NULL || PyDict_DelItem(table, key) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(key);
}

/* Hub.end of a connection without an open request, and Hub.forget_connection. */
static int
end_of(PyObject *connection, PyObject *ending)
{
    if (CONNECTION(connection)->over) {
        return 0;
    }
    CONNECTION(connection)->over = 1;
    PyObject *none = PyList_New(0);
    if (none == NULL || mark(connection, given.CLOSED, now(), ending) < 0) {
        Py_XDECREF(none);
        return -1;
    }
    PyObject *marks = CONNECTION(connection)->marks;
    CONNECTION(connection)->marks = none;
    int done = send_marks(connection, marks);
    Py_DECREF(marks);
    if (done < 0) {
        return -1;
    }
    forget(given.connections, Py_NewRef(CONNECTION(connection)->key)); /* stop() waits for them */
    forget(given.by_socket, PyLong_FromLongLong(CONNECTION(connection)->socket_id));
    put_other(&CONNECTION(connection)->socket_ref, Py_None);
    return 0;
}

PyObject *
close_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection, *ending;
    if (!token_parts(args[0], &connection, &ending) ||
        CONNECTION(connection)->exchange != Py_None || is_forked() ||
        !is_a(HUB(settings), given.Settings)) {
        LEAVE_TO_PYTHON(close_ended);
    }
    if (CONNECTION(connection)->dispatch == given.INLINE && note_if_long(connection) < 0) {
        return NULL;
    }
    if (end_of(connection, ending) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
