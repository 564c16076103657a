/* What marks say, besides moving a connection to another phase. */

#include "compiled.h"

static PyObject *
mark_at(const Fed *fed, PyObject *place)
{
    return PyList_GetItem(fed->marks, PyLong_AsSsize_t(place));
}

/* Return what is told of a request as `Exchanged`. */
static PyObject *
exchanged_of(PyObject *told)
{
    static PyObject *word;
    if (word == NULL && (word = PyUnicode_InternFromString("freeze")) == NULL) {
        return NULL;
    }
    PyObject *fields =
        PyTuple_Check(told) ? Py_NewRef(told) : PyObject_CallMethodNoArgs(told, word);
    PyObject *made = NULL;
    if (fields != NULL && PyTuple_Check(fields) && PyTuple_GET_SIZE(fields) == numbers.EXCHANGED) {
        made = named(given.Exchanged, fields);
    } else if (fields != NULL) {
        PyErr_SetString(PyExc_TypeError, "a request is told as the fields of Exchanged");
    }
    Py_XDECREF(fields);
    return made;
}

/* A request's record; it ends with its last byte: the drain is the connection's. */
static PyObject *
record_of(PyObject *timeline, const Fed *fed, PyObject *leg, PyObject *said, PyObject *exchanged)
{
    PyObject *began = PyTuple_GET_ITEM(said, BEGAN);
    int end = PyTuple_GET_ITEM(said, LEFT) == given.DRAIN ? SINCE : TIME;
    PyObject *start = PyList_GetItem(fed->times, PyLong_AsSsize_t(began) / MARK + 1);
    PyObject *last = PyList_GetItem(fed->times, PyLong_AsSsize_t(PyTuple_GET_ITEM(said, end)));
    PyObject *wall = mark_at(fed, began), *legs = PyTuple_Pack(1, leg), *record = NULL;
    if (start != NULL && last != NULL && wall != NULL && legs != NULL) {
        record = PyTuple_Pack(6, TIMELINE(timeline, sequence), start, last, wall, legs, exchanged);
        PyObject *fields = record;
        record = fields == NULL ? NULL : named(given.RequestRecord, fields);
        Py_XDECREF(fields);
    }
    Py_XDECREF(legs);
    return record;
}

/* Whether it is a server error; of a number that is too large for C, too. */
static int
is_server_error(PyObject *status)
{
    int beyond = 0;
    long number = status == Py_None ? 0 : PyLong_AsLongAndOverflow(status, &beyond);
    return beyond > 0 || (beyond == 0 && number >= 500);
}

/* What its status says of the connection. */
static int
judge(PyObject *timeline, PyObject *exchanged)
{
    PyObject *status = PyTuple_GET_ITEM(exchanged, numbers.STATUS);
    int sampled = PyObject_IsTrue(PyTuple_GET_ITEM(exchanged, numbers.FLAGS));
    int refused = PyObject_IsTrue(PyTuple_GET_ITEM(exchanged, numbers.REFUSED));
    if (sampled < 0 || refused < 0) {
        return -1;
    }
    if (sampled) {
        put_other(&TIMELINE(timeline, requests_exported), Py_True);
    }
    if (refused) {
        PyObject *none = PyObject_CallFunctionObjArgs(given.refused, timeline, status, NULL);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    int failed = is_server_error(status);
    if (PyErr_Occurred()) {
        return -1;
    }
    return failed ? add_to(&TIMELINE(timeline, server_errors), 1) : 0;
}

/* _exchange_ended, of a request that has begun with the same marks */
static int
exchange_ended(PyObject *timeline, const Fed *fed, PyObject *leg, PyObject *said, PyObject *told)
{
    PyObject *exchanged = exchanged_of(told), *record = NULL;
    if (exchanged != NULL && add_to(&TIMELINE(timeline, sequence), 1) == 0 &&
        add_to(&TIMELINE(timeline, count), 1) == 0 && judge(timeline, exchanged) == 0) {
        record = record_of(timeline, fed, leg, said, exchanged);
    }
    int done = record == NULL ? -1 : PyList_Append(TIMELINE(timeline, requests), record);
    Py_XDECREF(exchanged);
    Py_XDECREF(record);
    return done;
}

static int
note_in_python(PyObject *timeline, const Fed *fed, PyObject *leg, PyObject *said)
{
    PyObject *note = PyDict_GetItemWithError(given.notes, PyTuple_GET_ITEM(said, KIND));
    if (note == NULL) {
        PyErr_Format(PyExc_KeyError, "%R says nothing", PyTuple_GET_ITEM(said, KIND));
        return -1;
    }
    PyObject *none = PyObject_CallFunctionObjArgs(note, timeline, leg, said, fed->marks, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Whether the head decision comes without a tracestate. */
static int
is_stateless(PyObject *decided)
{
    return PyTuple_Check(decided) && PyTuple_GET_SIZE(decided) == 2 &&
           PyTuple_Check(PyTuple_GET_ITEM(decided, 1)) &&
           !PyTuple_GET_SIZE(PyTuple_GET_ITEM(decided, 1));
}

static int
note(PyObject *timeline, const Fed *fed, PyObject *leg, PyObject *said)
{
    PyObject *payload = mark_at(fed, PyTuple_GET_ITEM(said, PAYLOAD));
    if (payload == NULL || payload == Py_None) {
        return payload == NULL ? -1 : 0;
    }
    long kind = PyLong_AsLong(PyTuple_GET_ITEM(said, KIND));
    if (kind == numbers.EXCHANGE_ENDED && PyTuple_GET_ITEM(said, BEGAN) != Py_None) {
        return exchange_ended(timeline, fed, leg, said, payload);
    }
    if (kind == numbers.HANDLER_BEGAN) {
        put_other(&TIMELINE(timeline, dispatch), payload);
    } else if (kind == numbers.CLOSED) {
        put_other(&TIMELINE(timeline, ending), payload);
    } else if (kind == numbers.SAMPLED && is_stateless(payload)) {
        put_other(&TIMELINE(timeline, flags), PyTuple_GET_ITEM(payload, 0));
        put_other(&TIMELINE(timeline, trace_state), PyTuple_GET_ITEM(payload, 1));
    } else {
        return note_in_python(timeline, fed, leg, said);
    }
    return 0;
}

/* Whether a socket's state is no sign of anything: it is unknown, or not closed. */
static int
is_ordinary(PyObject *state)
{
    if (state == Py_None || !PyLong_CheckExact(state)) {
        return state == Py_None;
    }
    int beyond = 0;
    long number = PyLong_AsLongAndOverflow(state, &beyond);
    return !beyond && number != numbers.TCP_CLOSE;
}

/* Whether nothing about a connection that is over was out of the ordinary; -1 if reading its end
 * fails.
 */
static int
has_completed(PyObject *timeline)
{
    PyObject *ending = TIMELINE(timeline, ending);
    PyObject *at_accept = PyTuple_GetItem(TIMELINE(timeline, accepted), numbers.STATE);
    if (TIMELINE(timeline, _signs) != Py_None || PyLong_AsLong(TIMELINE(timeline, count)) <= 0 ||
        at_accept == NULL || !is_ordinary(at_accept)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (ending == Py_None) {
        return 1;
    }
    PyObject *read = PyObject_CallOneArg(TIMELINE(timeline, _read_end), ending);
    PyObject *at_close = read == NULL ? NULL : PyTuple_GetItem(read, 0);
    int ordinary = at_close == NULL ? -1 : is_ordinary(at_close);
    Py_XDECREF(read);
    return ordinary;
}

/* conclude */
static int
conclude(PyObject *timeline, PyObject *speaks_http)
{
    int completed = has_completed(timeline);
    if (completed > 0) {
        put_other(&TIMELINE(timeline, outcome), given.COMPLETED);
    }
    if (completed) {
        return completed < 0 ? -1 : 0;
    }
    PyObject *none = PyObject_CallFunctionObjArgs(given.conclude, timeline, speaks_http, NULL);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

int
note_all(PyObject *timeline, const Fed *fed, PyObject *leg)
{
    PyObject *said = COURSE(fed->course, said);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(said); at++) {
        if (note(timeline, fed, leg, PyTuple_GET_ITEM(said, at)) < 0) {
            return -1;
        }
    }
    PyObject *exchange = TIMELINE(timeline, _exchange);
    if (exchange != Py_None && PyList_Append(exchange, leg) < 0) {
        return -1;
    }
    if (COURSE(fed->course, phase) != given.OVER) {
        return 0;
    }
    return conclude(timeline, COURSE(fed->course, speaks_http));
}
