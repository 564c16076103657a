/* Legs added up: what core/course.py does with the steps of a course and the times of its legs. */

#include "compiled.h"

/* Whether these are legs as `feed` makes them. */
static int
are_legs(PyObject *legs)
{
    if (!PyList_CheckExact(legs) && !PyTuple_CheckExact(legs)) {
        return 0;
    }
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(legs); at++) {
        PyObject *leg = PySequence_Fast_GET_ITEM(legs, at);
        if (!is_a(leg, given.Leg) || !is_a(PyTuple_GET_ITEM(leg, COURSE_OF), given.Course) ||
            !PyList_CheckExact(PyTuple_GET_ITEM(leg, TIMES)) ||
            !PyTuple_CheckExact(COURSE(PyTuple_GET_ITEM(leg, COURSE_OF), steps))) {
            return 0;
        }
    }
    return 1;
}

static PyObject *
steps_of(PyObject *leg)
{
    return COURSE(PyTuple_GET_ITEM(leg, COURSE_OF), steps);
}

/* The time of a leg at which a step has its start or end. */
static PyObject *
time_at(PyObject *leg, PyObject *step, int end)
{
    return PyList_GetItem(PyTuple_GET_ITEM(leg, TIMES),
                          PyLong_AsSsize_t(PyTuple_GET_ITEM(step, end)));
}

/* How long a step has taken; -1 and an exception if that cannot be said. */
static Nanoseconds
length_of(PyObject *leg, PyObject *step)
{
    PyObject *start = time_at(leg, step, START), *end = time_at(leg, step, END);
    if (start == NULL || end == NULL) {
        return -1;
    }
    return PyLong_AsLongLong(end) - PyLong_AsLongLong(start);
}

/* found[phase] = found.get(phase, 0) + the step's length */
static int
add(PyObject *found, PyObject *leg, PyObject *step)
{
    PyObject *phase = PyTuple_GET_ITEM(step, PHASE);
    Nanoseconds spent = length_of(leg, step);
    PyObject *before = PyErr_Occurred() ? NULL : PyDict_GetItemWithError(found, phase);
    spent += before == NULL ? 0 : PyLong_AsLongLong(before);
    PyObject *sum = PyErr_Occurred() ? NULL : PyLong_FromLongLong(spent);
    int done = sum == NULL ? -1 : PyDict_SetItem(found, phase, sum);
    Py_XDECREF(sum);
    return done;
}

PyObject *
add_up(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !are_legs(args[0]) || !PyDict_CheckExact(args[1])) {
        LEAVE_TO_PYTHON(add_up);
    }
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(args[0]); at++) {
        PyObject *leg = PySequence_Fast_GET_ITEM(args[0], at), *steps = steps_of(leg);
        for (Py_ssize_t each = 0; each < PyTuple_GET_SIZE(steps); each++) {
            if (add(args[1], leg, PyTuple_GET_ITEM(steps, each)) < 0) {
                return NULL;
            }
        }
    }
    Py_RETURN_NONE;
}

/* Whether a step of this leg belongs to the n-th request, and is in one of the phases. */
static int
is_of_request(PyObject *step, long number, PyObject *phases)
{
    PyObject *request = PyTuple_GET_ITEM(step, REQUEST);
    if (request == Py_None || PyLong_AsLong(request) != number) {
        return 0;
    }
    return PySet_Contains(phases, PyTuple_GET_ITEM(step, PHASE));
}

static int
add_spent_in(PyObject *leg, long sequence, PyObject *phases, PyObject *found)
{
    PyObject *steps = steps_of(leg);
    long number = sequence - PyLong_AsLong(PyTuple_GET_ITEM(leg, REQUESTS));
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(steps); at++) {
        PyObject *step = PyTuple_GET_ITEM(steps, at);
        int is_its = is_of_request(step, number, phases);
        if (is_its < 0 || (is_its && add(found, leg, step) < 0)) {
            return -1;
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *
add_spent(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 || !are_legs(args[0]) || !PyLong_CheckExact(args[1]) ||
        !PyFrozenSet_CheckExact(args[2]) || !PyDict_CheckExact(args[3])) {
        LEAVE_TO_PYTHON(add_spent);
    }
    long sequence = PyLong_AsLong(args[1]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    for (Py_ssize_t at = 0; at < PySequence_Fast_GET_SIZE(args[0]); at++) {
        PyObject *leg = PySequence_Fast_GET_ITEM(args[0], at);
        if (add_spent_in(leg, sequence, args[2], args[3]) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
interval(PyObject *leg, PyObject *step)
{
    PyObject *request = PyTuple_GET_ITEM(step, REQUEST);
    long sequence = 0;
    if (request != Py_None) {
        sequence = PyLong_AsLong(request) + PyLong_AsLong(PyTuple_GET_ITEM(leg, REQUESTS));
    }
    PyObject *number = PyErr_Occurred() ? NULL : PyLong_FromLong(sequence);
    PyObject *made = number == NULL ? NULL : blank_tuple(given.Interval, STEP);
    if (made == NULL) {
        Py_XDECREF(number);
        return NULL;
    }
    PyTuple_SET_ITEM(made, PHASE, Py_NewRef(PyTuple_GET_ITEM(step, PHASE)));
    PyTuple_SET_ITEM(made, START, Py_NewRef(time_at(leg, step, START)));
    PyTuple_SET_ITEM(made, END, Py_NewRef(time_at(leg, step, END)));
    PyTuple_SET_ITEM(made, REQUEST, number);
    return made;
}

/* Append the intervals of a leg that took so long. */
static int
append_intervals(PyObject *found, PyObject *leg, Nanoseconds shortest)
{
    PyObject *steps = steps_of(leg);
    for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(steps); at++) {
        PyObject *step = PyTuple_GET_ITEM(steps, at);
        Nanoseconds length = length_of(leg, step);
        if (PyErr_Occurred()) {
            return -1;
        }
        PyObject *made = length < shortest ? NULL : interval(leg, step);
        int done = made == NULL ? 0 : PyList_Append(found, made);
        Py_XDECREF(made);
        if (done < 0 || PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

PyObject *
intervals_of(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !are_legs(args[0]) || !PyLong_CheckExact(args[1])) {
        LEAVE_TO_PYTHON(intervals_of);
    }
    Nanoseconds shortest = PyLong_AsLongLong(args[1]);
    PyObject *found = PyErr_Occurred() ? NULL : PyList_New(0);
    for (Py_ssize_t at = 0; found != NULL && at < PySequence_Fast_GET_SIZE(args[0]); at++) {
        if (append_intervals(found, PySequence_Fast_GET_ITEM(args[0], at), shortest) < 0) {
            Py_CLEAR(found);
        }
    }
    return found;
}
