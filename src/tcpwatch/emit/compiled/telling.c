/* What a leg of a connection's life has to tell the histograms: what emit/histograms.py notes. */

#include "compiled.h"

/* Whether these are what a worker delivers. */
static int
is_plain(PyObject *timeline, PyObject *leg)
{
    return is_a(timeline, given.Timeline) && is_a(leg, given.Leg) &&
           PyTuple_GET_SIZE(leg) == numbers.LEG &&
           PyList_CheckExact(PyTuple_GET_ITEM(leg, numbers.TIMES)) &&
           is_a(TIMELINE(timeline, accepted), given.Accepted) &&
           PyList_CheckExact(TIMELINE(timeline, requests));
}

/* later - earlier */
static PyObject *
since(PyObject *later, PyObject *earlier)
{
    long long end = PyLong_AsLongLong(later), start = PyLong_AsLongLong(earlier);
    return PyErr_Occurred() ? NULL : PyLong_FromLongLong(end - start);
}

/* (rtt, segments sent again) of the connection's end */
static PyObject *
path_of(PyObject *timeline)
{
    PyObject *ending = TIMELINE(timeline, ending);
    PyObject *path = ending == Py_None ? PyTuple_Pack(2, Py_None, Py_None)
                                       : PyObject_CallOneArg(given.read_path, ending);
    if (path != NULL && (!PyTuple_CheckExact(path) || PyTuple_GET_SIZE(path) != 2)) {
        PyErr_SetString(PyExc_TypeError, "a path is a pair");
        Py_CLEAR(path);
    }
    return path;
}

static int
append(PyObject *row, PyObject *value)
{
    int done = value == NULL ? -1 : PyList_Append(row, value);
    Py_XDECREF(value);
    return done;
}

/* What decides on the series of a request. */
static PyObject *
labels_of(PyObject *request)
{
    PyObject *exchanged = PyTuple_GET_ITEM(request, numbers.EXCHANGED_AT);
    PyObject *labels[MOST_LABELS];
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(given.LABELS); at++) {
        Py_ssize_t place = PyLong_AsSsize_t(PyTuple_GET_ITEM(given.LABELS, at));
        labels[at] = Py_NewRef(PyTuple_GET_ITEM(exchanged, place));
    }
    return tuple_of((PyObject *)&PyTuple_Type, labels, PyTuple_GET_SIZE(given.LABELS));
}

/* Append what the leg and the connection's end say; `path` is what is known of the latter. */
static int
append_life(PyObject *row, PyObject *timeline, int is_first, PyObject *path)
{
    PyObject *depth = PyTuple_GET_ITEM(TIMELINE(timeline, accepted), numbers.DEPTH);
    if (is_first && PyList_Append(row, depth) < 0) {
        return -1;
    }
    if (TIMELINE(timeline, outcome) == Py_None) {
        return 0;
    }
    if (append(row, since(TIMELINE(timeline, since_ns), TIMELINE(timeline, start_ns))) < 0) {
        return -1;
    }
    return append(row, Py_NewRef(PyTuple_GET_ITEM(path, 0))) < 0 ||
                   append(row, Py_NewRef(PyTuple_GET_ITEM(path, 1))) < 0
               ? -1
               : 0;
}

/* Append what its requests say, and put their labels into the key of the row's page. */
static int
append_requests(PyObject *row, PyObject *requests, PyObject *key)
{
    for (Py_ssize_t at = 0; at < PyList_GET_SIZE(requests); at++) {
        PyObject *request = PyList_GET_ITEM(requests, at);
        if (!is_a(request, given.RequestRecord) ||
            !is_a(PyTuple_GET_ITEM(request, numbers.EXCHANGED_AT), given.Exchanged)) {
            PyErr_SetString(PyExc_TypeError, "a request is a RequestRecord, with Exchanged");
            return -1;
        }
        PyObject *spent =
            since(PyTuple_GET_ITEM(request, numbers.END), PyTuple_GET_ITEM(request, numbers.START));
        PyObject *labels = append(row, spent) < 0 ? NULL : labels_of(request);
        if (labels == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(key, KEY_OF_LIFE + at, labels);
    }
    return 0;
}

/* (loop, course, outcome, error, which values are unknown, *labels), yet without the labels */
static PyObject *
key_of(PyObject *loop, PyObject *timeline, PyObject *leg, PyObject *path)
{
    PyObject *depth = PyTuple_GET_ITEM(TIMELINE(timeline, accepted), numbers.DEPTH);
    int is_first = PyTuple_GET_ITEM(leg, numbers.FIRST) == Py_True;
    PyObject *unknown = PyTuple_Pack(3, is_first && depth == Py_None ? Py_True : Py_False,
                                     PyTuple_GET_ITEM(path, 0) == Py_None ? Py_True : Py_False,
                                     PyTuple_GET_ITEM(path, 1) == Py_None ? Py_True : Py_False);
    Py_ssize_t many = PyList_GET_SIZE(TIMELINE(timeline, requests));
    PyObject *key = unknown == NULL ? NULL : PyTuple_New(KEY_OF_LIFE + many);
    if (key == NULL) {
        Py_XDECREF(unknown);
        return NULL;
    }
    PyTuple_SET_ITEM(key, 0, Py_NewRef(loop));
    PyTuple_SET_ITEM(key, 1, Py_NewRef(PyTuple_GET_ITEM(leg, numbers.COURSE)));
    PyTuple_SET_ITEM(key, 2, Py_NewRef(TIMELINE(timeline, outcome)));
    PyTuple_SET_ITEM(key, 3, Py_NewRef(TIMELINE(timeline, error)));
    PyTuple_SET_ITEM(key, 4, unknown);
    return key;
}

/* told(loop, timeline, leg) -> (row, key) */
PyObject *
told(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !is_plain(args[1], args[2])) {
        LEAVE_TO_PYTHON(told);
    }
    PyObject *timeline = args[1], *leg = args[2], *both = NULL, *row = NULL, *key = NULL;
    PyObject *times = PyTuple_GET_ITEM(leg, numbers.TIMES);
    PyObject *requests = Py_NewRef(TIMELINE(timeline, requests));
    int is_first = PyTuple_GET_ITEM(leg, numbers.FIRST) == Py_True;
    PyObject *path = TIMELINE(timeline, outcome) != Py_None ? path_of(timeline)
                                                            : PyTuple_Pack(2, Py_None, Py_None);
    if (path != NULL) {
        row = PyList_GetSlice(times, 0, PyList_GET_SIZE(times));
        key = row == NULL ? NULL : key_of(args[0], timeline, leg, path);
    }
    if (key != NULL && append_life(row, timeline, is_first, path) == 0 &&
        append_requests(row, requests, key) == 0) {
        both = PyTuple_Pack(2, row, key);
    }
    Py_DECREF(requests);
    Py_XDECREF(path);
    Py_XDECREF(row);
    Py_XDECREF(key);
    return both;
}
