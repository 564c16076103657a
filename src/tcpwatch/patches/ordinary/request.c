/* A request: what patches/http_server.py does with what a handler knows of it. */

#include "ordinary.h"

/* -- parse_request ----------------------------------------------------------------------------- */

int
put_attribute(PyObject **slot, PyObject *object, PyObject *word)
{
    return put(slot, PyObject_GetAttr(object, word));
}

/* _application(handler): the server's, if it says so in an attribute */
static PyObject *
application_of(PyObject *handler)
{
    PyObject *server = PyObject_GetAttr(handler, words.server);
    PyObject *app = server == NULL ? NULL : PyObject_GetAttr(server, words.app);
    Py_XDECREF(server);
    if (app != NULL && app != Py_None) {
        return app;
    }
    Py_XDECREF(app);
    return is_forgiven() ? PyObject_CallOneArg(given.application, handler) : NULL;
}

/* requests.began(...), the twin of begin(); -1 and an exception if it fails. */
static int
is_begun(PyObject *requests, PyObject *const *args)
{
    PyObject *began = PyObject_GetAttr(requests, words.began), *done = NULL;
    if (began != NULL) {
        done = began == Py_None ? Py_NewRef(Py_False) : PyObject_Vectorcall(began, args, 5, NULL);
    }
    Py_XDECREF(began);
    Py_XDECREF(done);
    return done == NULL ? -1 : done == Py_True;
}

/* output.requests.begin, which starts the request's span. */
static int
begin(PyObject *connection, PyObject *exchange, PyObject *handler, PyObject *headers)
{
    if (HUB(output) == Py_None) {
        return 0;
    }
    PyObject *requests = PyObject_GetAttr(HUB(output), words.requests), *none = NULL;
    PyObject *app = requests == NULL ? NULL : application_of(handler);
    int done = -1;
    if (app != NULL && put(&CONNECTION(connection)->application, app) == 0) {
        PyObject *args[] = {requests, connection, exchange, headers, app};
        done = is_begun(requests, args);
        if (done == 0) {
            none = PyObject_VectorcallMethod(words.begin, args, 5, NULL);
            done = none == NULL ? -1 : 0;
        }
    }
    Py_XDECREF(requests);
    Py_XDECREF(none);
    return done < 0 ? -1 : 0;
}

/* Flask may have been imported since the last request. */
static int
adopt_flask(void)
{
    if (PyList_GET_SIZE(given.connected)) {
        return 0;
    }
    PyObject *none = PyObject_CallNoArgs(given.adopt_flask);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* _head_parsed */
static int
head_parsed(PyObject *connection, PyObject *exchange, PyObject *handler, PyObject *headers)
{
    Nanoseconds time = now();
    put_other(&EXCHANGE(exchange)->headers, headers);
    if (put_attribute(&EXCHANGE(exchange)->request_line, handler, words.raw_requestline) < 0) {
        return -1;
    }
    EXCHANGE(exchange)->head_ns = time;
    CONNECTION(connection)->stage = APP;
    if (adopt_flask() < 0 || begin(connection, exchange, handler, headers) < 0) {
        return -1;
    }
    int others = EXCHANGE(exchange)->peer_instrumented || EXCHANGE(exchange)->excluded;
    PyObject *told = others
                         ? Py_NewRef(Py_None)
                         : PyTuple_Pack(2, EXCHANGE(exchange)->method, EXCHANGE(exchange)->scheme);
    int done = told == NULL ? -1 : mark(connection, given.HEAD_PARSED, time, told);
    Py_XDECREF(told);
    return done;
}

/* Whether a handler's class has the handle() that answers 501 by itself, or may have. */
static int
is_standard(PyObject *handler)
{
    PyObject *handle = PyObject_GetAttr((PyObject *)Py_TYPE(handler), words.handle);
    PyObject *standard =
        handle == NULL ? NULL : PyObject_GetAttr(given.BaseHTTPRequestHandler, words.handle);
    int other =
        standard != NULL && handle != standard && PyFunction_Check(handle) &&
        PyObject_RichCompareBool(PyFunction_GET_CODE(handle), given.handle_code, Py_EQ) == 0;
    Py_XDECREF(handle);
    Py_XDECREF(standard);
    return !other;
}

/* Whether http.server answers 501 by itself; -1 and an exception if that cannot be said. */
static int
is_refused(PyObject *handler, PyObject *command)
{
    if (!is_standard(handler) || PyErr_Occurred()) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *refused = PyObject_CallFunctionObjArgs(given.is_refused, handler, command, NULL);
    int yes = refused == NULL ? -1 : refused == Py_True;
    Py_XDECREF(refused);
    return yes;
}

/* Whether a request was parsed on a plain socket, which http.server does not answer itself. */
static int
is_plain(PyObject *handler, PyObject *command, PyObject *headers)
{
    if (command == Py_None) {
        return 0;
    }
    PyObject *sock = PyObject_GetAttr(handler, words.request);
    int plain = is_a(sock, given.socket);
    Py_XDECREF(sock);
    plain = plain ? PyObject_IsInstance(headers, given.Message) : 0;
    if (plain != 1) {
        return plain;
    }
    int refused = is_refused(handler, command);
    return refused < 0 ? -1 : !refused;
}

/* What a handler has parsed becomes the exchange's. */
static int
note_request(PyObject *exchange, PyObject *handler, PyObject *command)
{
    put_other(&EXCHANGE(exchange)->method, command);
    if (put_attribute(&EXCHANGE(exchange)->target, handler, words.path) < 0) {
        return -1;
    }
    return put_attribute(&EXCHANGE(exchange)->version, handler, words.request_version);
}

PyObject *
parsed(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *handler = args[0], *connection = of_this_thread();
    PyObject *exchange = connection == NULL ? NULL : CONNECTION(connection)->exchange;
    if (!is_a(exchange, given.Exchange) || is_forked() || args[1] != Py_True ||
        EXCHANGE(exchange)->head_ns || CONNECTION(connection)->stage != HEAD) {
        Py_XDECREF(connection);
        LEAVE_TO_PYTHON(parsed);
    }
    Py_INCREF(exchange);
    PyObject *command = PyObject_GetAttr(handler, words.command);
    PyObject *headers = command == NULL ? NULL : PyObject_GetAttr(handler, words.headers);
    int plain = headers == NULL ? 0 : is_plain(handler, command, headers);
    int done = plain < 0 ? -1 : 1;
    if (plain > 0) {
        done = note_request(exchange, handler, command);
        if (done == 0) {
            done = head_parsed(connection, exchange, handler, headers);
        }
    }
    Py_XDECREF(command);
    Py_XDECREF(headers);
    Py_DECREF(exchange);
    Py_DECREF(connection);
    if (done > 0 && is_forgiven()) {
        LEAVE_TO_PYTHON(parsed);
    }
    if (done) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- send_response_only ------------------------------------------------------------------------ */

PyObject *
responds(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *connection = of_this_thread();
    PyObject *exchange = connection == NULL ? NULL : CONNECTION(connection)->exchange;
    if (!is_a(exchange, given.Exchange) || count < 2 || !PyLong_Check(args[1])) {
        Py_XDECREF(connection);
        LEAVE_TO_PYTHON(responds);
    }
    int too_large, done = 0;
    long status = PyLong_AsLongAndOverflow(args[1], &too_large);
    if (too_large) {
        Py_DECREF(connection);
        LEAVE_TO_PYTHON(responds);
    }
    if (status >= 200) {
        done = put(&EXCHANGE(exchange)->status, PyLong_FromLong(status));
        EXCHANGE(exchange)->final = 1;
        if (!EXCHANGE(exchange)->head_ns) {
            EXCHANGE(exchange)->refused = 1;
        }
    }
    Py_DECREF(connection);
    if (done < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
