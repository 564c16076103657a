/* How the span of most requests starts: what emit/requests.py and emit/starting.py do then. */

#include "compiled.h"

/* connection.decided(sampled, ()) */
static int
decide(PyObject *connection, PyObject *exchange, PyObject *flags)
{
    PyObject *told = PyTuple_Pack(2, flags, given.nothing); /* which may let others run */
    PyObject *time = PyLong_FromLongLong(EXCHANGE(exchange)->head_ns);
    PyObject *marks = Py_NewRef(CONNECTION(connection)->marks);
    int done = told == NULL || time == NULL || PyList_Append(marks, given.SAMPLED_MARK) < 0 ||
                       PyList_Append(marks, time) < 0 || PyList_Append(marks, told) < 0
                   ? -1
                   : 0;
    Py_XDECREF(told);
    Py_XDECREF(time);
    Py_DECREF(marks);
    put_other(&CONNECTION(connection)->flags, flags);
    put_other(&CONNECTION(connection)->trace_state, given.nothing);
    return done;
}

static PyObject *
new_span_id(void)
{
    PyObject *id = PyObject_CallOneArg(given.getrandbits, given.sixty_four);
    if (id != NULL && PyObject_IsTrue(id) == 0) {
        Py_SETREF(id, PyLong_FromLong(1));
    }
    return id;
}

/* Return the span's ids, and leave what is told of them with its request. */
static PyObject *
make_ids(PyObject *exchange, PyObject *accepted, PyObject *flags)
{
    PyObject *trace_id = PyTuple_GET_ITEM(accepted, numbers.TRACE_ID);
    PyObject *parent_id = PyTuple_GET_ITEM(accepted, numbers.SPAN_ID), *span_id = new_span_id();
    PyObject *facts = span_id == NULL ? NULL
                                      : PyTuple_Pack(7, trace_id, span_id, parent_id, Py_False,
                                                     flags, given.nothing, Py_False);
    PyTypeObject *type = (PyTypeObject *)given.Ids;
    PyObject *ids = facts == NULL ? NULL : type->tp_alloc(type, 6);
    for (Py_ssize_t at = 0; ids != NULL && at < 6; at++) {
        PyTuple_SET_ITEM(ids, at, Py_NewRef(PyTuple_GET_ITEM(facts, at)));
    }
    Py_XDECREF(span_id);
    if (ids == NULL) {
        Py_XDECREF(facts);
        return NULL;
    }
    put(&EXCHANGE(exchange)->span_facts, facts);
    return ids;
}

/* A `RequestSpan`, which becomes the SDK's when somebody touches it. */
static PyObject *
recorded(const Usual *usual, PyObject *connection, PyObject *exchange, PyObject *ids)
{
    PyObject *become = PyObject_GetAttr(usual->starter, words._become), *start = NULL;
    PyObject *context = become == NULL ? NULL : PyObject_CallNoArgs(given.Context);
    if (context != NULL) {
        start = PyObject_CallFunctionObjArgs(given.partial, become, connection, exchange, context,
                                             ids, NULL);
    }
    PyObject *span =
        start == NULL ? NULL : PyObject_CallFunctionObjArgs(given.RequestSpan, ids, start, NULL);
    Py_XDECREF(become);
    Py_XDECREF(context);
    Py_XDECREF(start);
    if (span != NULL) {
        put_other(&EXCHANGE(exchange)->span, span);
    }
    return span;
}

/* Make it current; its request knows how to release that. */
static int
attach(PyObject *exchange, PyObject *span)
{
    PyObject *values = PyDict_New(), *context = NULL, *token = NULL, *release = NULL;
    if (values != NULL && PyDict_SetItem(values, given.key_of_span, span) == 0) {
        context = PyObject_CallOneArg(given.Context, values);
    }
    if (context != NULL) {
        token = PyContextVar_Set(given.current_context, context);
    }
    if (token != NULL) {
        release = PyObject_CallFunctionObjArgs(given.partial, given.detach, token, NULL);
    }
    Py_XDECREF(values);
    Py_XDECREF(context);
    Py_XDECREF(token);
    return put(&EXCHANGE(exchange)->release, release);
}

static int
start(const Usual *usual, PyObject *connection, PyObject *exchange, int sampled)
{
    PyObject *accepted = CONNECTION(connection)->accepted, *flags = PyLong_FromLong(sampled);
    PyObject *ids = flags == NULL ? NULL : make_ids(exchange, accepted, flags), *span = NULL;
    if (ids != NULL && decide(connection, exchange, flags) == 0) {
        span = sampled ? recorded(usual, connection, exchange, ids)
                       : PyObject_CallOneArg(given.Carried, ids);
    }
    int done = span == NULL ? -1 : attach(exchange, span);
    Py_XDECREF(flags);
    Py_XDECREF(ids);
    Py_XDECREF(span);
    return done;
}

/* began(spans, connection, exchange, head, app) -> bool */
PyObject *
began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "began() takes what RequestSpans.begin() is given");
        return NULL;
    }
    PyObject *known = PyObject_GetAttr(args[0], words.usual), *head_fields = NULL;
    Usual usual;
    int sampled = -1;
    if (known != NULL && read_usual(known, &usual)) {
        if (usual.tracing == Py_None) {
            int done = is_ours(&usual, args[4]);
            Py_DECREF(known);
            return PyErr_Occurred() ? NULL : PyBool_FromLong(done);
        }
        sampled = is_usual(args, &usual, &head_fields);
    }
    if (sampled >= 0) {
        put_other(&EXCHANGE(args[2])->fields, head_fields);
        start(&usual, args[1], args[2], sampled); /* or an exception */
    }
    Py_XDECREF(head_fields);
    Py_XDECREF(known);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(sampled >= 0);
}
