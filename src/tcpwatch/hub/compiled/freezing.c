/* What is told of a request that is over: what hub/connection.py makes of an exchange. */

#include "states.h"

#define TWINS(TWIN) TWIN(fields_of)
#define NUMBERS(NUMBER) NUMBER(EXCHANGED) NUMBER(KEPT)
/* Beside the class: what is told of a span that there is not, and of which headers something is. */
#define GIVEN(THING) THING(Exchange) THING(NO_SPAN) THING(TOLD_FIELDS)

TWINS(PROTOTYPE)

static struct {
    TWINS(DECLARE)
} in_python;

static struct {
    GIVEN(DECLARE)
} given;

static struct {
    NUMBERS(DECLARE_NUMBER)
} numbers;

enum { OF_HEADERS = 4, OF_SPAN = 7, ALL = 23 };

/* Whether none of its texts can be too long, and its parts are what they are for most. */
static int
is_plain(PyObject *exchange)
{
    if (!is_a(exchange, given.Exchange) || !PyDict_CheckExact(EXCHANGE(exchange)->fields)) {
        return 0;
    }
    PyObject *facts = EXCHANGE(exchange)->span_facts;
    Nanoseconds received = EXCHANGE(exchange)->received;
    return 0 < received && received <= numbers.KEPT &&
           (facts == Py_None || (PyTuple_CheckExact(facts) && PyTuple_GET_SIZE(facts) == OF_SPAN));
}

/* The value of a header that is told, or None. */
static PyObject *
header(Exchange *exchange, Py_ssize_t at)
{
    PyObject *found =
        PyDict_GetItemWithError(exchange->fields, PyTuple_GET_ITEM(given.TOLD_FIELDS, at));
    return found == NULL && PyErr_Occurred() ? NULL : Py_NewRef(found == NULL ? Py_None : found);
}

PyObject *
fields_of(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 1 || !is_plain(args[0])) {
        LEAVE_TO_PYTHON(fields_of);
    }
    Exchange *told = EXCHANGE(args[0]);
    PyObject *facts = told->span_facts == Py_None ? given.NO_SPAN : told->span_facts;
    PyObject *fields[ALL] = {
        Py_NewRef(told->method),
        Py_NewRef(told->target),
        Py_NewRef(told->version),
        Py_NewRef(told->scheme),
        header(told, 0),
        header(told, 1),
        header(told, 2),
        header(told, 3),
        Py_NewRef(told->status),
        Py_NewRef(told->route),
        Py_NewRef(told->view),
        Py_NewRef(told->error),
        PyBool_FromLong(told->refused),
        PyLong_FromLongLong(told->body_wait_ns),
        PyBool_FromLong(told->peer_instrumented),
        PyBool_FromLong(told->excluded),
    };
    for (Py_ssize_t at = 0; at < OF_SPAN; at++) {
        fields[ALL - OF_SPAN + at] = Py_NewRef(PyTuple_GET_ITEM(facts, at));
    }
    return tuple_of((PyObject *)&PyTuple_Type, fields, ALL);
}

/* -- connecting -------------------------------------------------------------------------------- */

LEAVE(TWINS)

static PyObject *
connect_exchange(PyObject *module, PyObject *things)
{
    GIVEN(TAKE)
    NUMBERS(TAKE_NUMBER)
    if (HAS_FIELDS(Exchange) < 0) {
        return NULL;
    }
    if (numbers.EXCHANGED != ALL || PyTuple_Size(given.TOLD_FIELDS) != OF_HEADERS ||
        PyTuple_Size(given.NO_SPAN) != OF_SPAN) {
        PyErr_SetString(PyExc_TypeError, "Exchanged has other fields than fields_of() tells");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyMethodDef freezing[] = {
    {"connect_exchange", connect_exchange, METH_O, "Take what connection.py has to give."},
    LEAVE_METHOD TWINS(TWIN_METHOD){NULL, NULL, 0, NULL},
};
