/* Whether a request's span starts as most do: the first one of a connection, without a remote
 * parent, where the sampler's answer is foreseen and nobody else reports the request.
 */

#include "compiled.h"

/* -- a head's fields --------------------------------------------------------------------------- */

/* found[name.lower()] = value */
static int
put_field(PyObject *found, PyObject *pair)
{
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
        !PyUnicode_CheckExact(PyTuple_GET_ITEM(pair, 0))) {
        PyErr_SetString(PyExc_TypeError, "a head consists of names and values");
        return -1;
    }
    PyObject *name = PyObject_CallMethodNoArgs(PyTuple_GET_ITEM(pair, 0), words.lower);
    int done = name == NULL ? -1 : PyDict_SetItem(found, name, PyTuple_GET_ITEM(pair, 1));
    Py_XDECREF(name);
    return done;
}

/* Return the first value of each header by its lower-case name; TypeError or AttributeError if it
 * is none that we know.
 */
static PyObject *
fields(PyObject *head)
{
    PyObject *items = PyObject_GetAttr((PyObject *)Py_TYPE(head), words.raw_items);
    Py_XDECREF(items);
    if (items != given.raw_items) { /* its class may make them up */
        if (items != NULL) {
            PyErr_SetString(PyExc_TypeError, "a head has the fields of a Message");
        }
        return NULL;
    }
    PyObject *pairs = PyObject_GetAttr(head, words._headers);
    if (pairs == NULL || !PyList_CheckExact(pairs)) {
        if (pairs != NULL) {
            PyErr_SetString(PyExc_TypeError, "a head has a list of headers");
        }
        Py_XDECREF(pairs);
        return NULL;
    }
    PyObject *found = PyDict_New();
    for (Py_ssize_t at = PyList_GET_SIZE(pairs); found != NULL && at > 0; at--) {
        if (put_field(found, PyList_GET_ITEM(pairs, at - 1)) < 0) {
            Py_CLEAR(found);
        }
    }
    Py_DECREF(pairs);
    return found;
}

/* -- whether it is a usual start --------------------------------------------------------------- */

int
read_usual(PyObject *known, Usual *usual)
{
    if (!PyTuple_CheckExact(known) || PyTuple_GET_SIZE(known) != 4) {
        return 0;
    }
    usual->tracing = PyTuple_GET_ITEM(known, 0);
    usual->peers = PyTuple_GET_ITEM(known, 1);
    usual->starter = PyTuple_GET_ITEM(known, 2);
    usual->bound = PyTuple_GET_ITEM(known, 3);
    return 1;
}

/* Whether the connection's decision is to be made now, for a head that has just been parsed. */
static int
is_first(PyObject *connection, PyObject *exchange)
{
    return is_a(connection, given.Connection) && is_a(exchange, given.Exchange) &&
           CONNECTION(connection)->flags == Py_None && EXCHANGE(exchange)->span == Py_None &&
           EXCHANGE(exchange)->sequence == 1 && EXCHANGE(exchange)->head_ns &&
           CONNECTION(connection)->stage == numbers.APP && POST(in_child) == Py_False;
}

/* Whether nothing is in the current context. */
static int
is_free(void)
{
    PyObject *current = NULL;
    if (!PyContextVar_CheckExact(given.current_context) ||
        PyContextVar_Get(given.current_context, NULL, &current) < 0) {
        return 0;
    }
    int is_empty = current == NULL || (PyDict_Check(current) && !PyDict_GET_SIZE(current));
    Py_XDECREF(current);
    return is_empty;
}

/* Look.still() */
static int
is_still_so(PyObject *look)
{
    PyObject *layers = LOOK(look, _layers), *sizes = LOOK(look, _sizes), *set = LOOK(look, _set);
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(layers); at++) {
        Py_ssize_t size = PyLong_AsSsize_t(PyList_GET_ITEM(sizes, at));
        if (PyDict_Size(PyList_GET_ITEM(layers, at)) != size) {
            return 0;
        }
    }
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(set); at++) {
        PyObject *each = PyList_GET_ITEM(set, at);
        PyObject *own = PyTuple_GET_ITEM(each, 0), *name = PyTuple_GET_ITEM(each, 1);
        if (PyDict_GetItemWithError(own, name) != PyTuple_GET_ITEM(each, 2)) {
            return 0;
        }
    }
    return 1;
}

/* What is known of an application since an earlier request, if it is still so; else NULL. */
static PyObject *
known_look(PyObject *peers, PyObject *app)
{
    PyObject *looked_at = PyObject_GetAttr(peers, words._looked_at), *known = NULL;
    PyObject *identity = looked_at == NULL ? NULL : PyLong_FromVoidPtr(app);
    if (identity != NULL && PyDict_CheckExact(looked_at)) {
        known = PyDict_GetItemWithError(looked_at, identity);
        known = is_a(known, given.Look) ? Py_NewRef(known) : NULL;
    }
    Py_XDECREF(looked_at);
    Py_XDECREF(identity);
    if (known != NULL && !is_still_so(known)) {
        Py_CLEAR(known);
    }
    return known;
}

/* Whether no other instrumentation reports the application's requests. */
int
is_ours(const Usual *usual, PyObject *app)
{
    if (app == Py_None) {
        return 1;
    }
    PyObject *look = known_look(usual->peers, app), *theirs = NULL;
    if (look != NULL) {
        theirs = Py_NewRef(LOOK(look, instrumented));
        Py_DECREF(look);
    } else if (!PyErr_Occurred()) {
        theirs = PyObject_CallMethodOneArg(usual->peers, words.instrument, app);
    }
    Py_XDECREF(theirs);
    return theirs == Py_False;
}

/* Whether none of the fields is for a propagator. */
static int
is_local(PyObject *spans, PyObject *head_fields)
{
    PyObject *propagator = PyObject_GetAttr(spans, words._propagator);
    PyObject *names = propagator == NULL ? NULL : PyObject_GetAttr(spans, words._fields);
    int local =
        names != NULL && PyFrozenSet_CheckExact(names) &&
        propagator == PyDict_GetItemWithError(given.propagate_values, words._HTTP_TEXT_FORMAT);
    PyObject *each = local ? PyObject_GetIter(names) : NULL, *name;
    while (local && each != NULL && (name = PyIter_Next(each)) != NULL) {
        local = PyDict_Contains(head_fields, name) == 0;
        Py_DECREF(name);
    }
    Py_XDECREF(each);
    Py_XDECREF(names);
    Py_XDECREF(propagator);
    return local && !PyErr_Occurred();
}

/* Whether it is sampled, as the SDK's sampler will say; -1 if that is to be asked. */
static int
is_sampled(const Usual *usual, PyObject *trace_id)
{
    unsigned long long low = PyLong_AsUnsignedLongLongMask(trace_id);
    PyObject *number = PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(low);
    int sampled = number == NULL ? -1 : PyObject_RichCompareBool(number, usual->bound, Py_LT);
    Py_XDECREF(number);
    if (sampled > 0) {
        PyObject *straight = PyObject_GetAttr(usual->tracing, words.is_straight);
        sampled = straight == Py_True ? 1 : -1;
        Py_XDECREF(straight);
    }
    return sampled;
}

/* Whether a request's span starts as most do: 1 if it is sampled, 0 if not; -1 if it is Python's to
 * start, maybe with an exception. Its head's fields are a new reference.
 */
int
is_usual(PyObject *const *args, const Usual *usual, PyObject **head_fields)
{
    PyObject *spans = args[0], *connection = args[1], *exchange = args[2];
    if (!is_first(connection, exchange) || !is_free() || !is_ours(usual, args[4])) {
        return -1;
    }
    *head_fields = fields(args[3]);
    if (*head_fields == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear(); /* Python will say what is wrong with it */
        }
        return -1;
    }
    if (!is_local(spans, *head_fields)) {
        return -1;
    }
    return is_sampled(usual, PyTuple_GET_ITEM(CONNECTION(connection)->accepted, numbers.TRACE_ID));
}
