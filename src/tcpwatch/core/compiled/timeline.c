/* A timeline is fed: what core/timeline.py does with the marks of most connections. */

#include "compiled.h"

/* -- a new one --------------------------------------------------------------------------------- */

PyObject *
begun(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        LEAVE_TO_PYTHON(begun);
    }
    PyObject *timeline = blank_of(given.Timeline, given.blank_timeline);
    if (timeline == NULL || put(&TIMELINE(timeline, requests), PyList_New(0)) < 0 ||
        put(&TIMELINE(timeline, _legs), PyList_New(0)) < 0 ||
        put(&TIMELINE(timeline, _dropped_phases), PyDict_New()) < 0) {
        Py_XDECREF(timeline);
        return NULL;
    }
    put_other(&TIMELINE(timeline, key), args[0]);
    put_other(&TIMELINE(timeline, _read_end), args[1]);
    put_other(&TIMELINE(timeline, _read_closing), args[2]);
    return timeline;
}

/* -- what is fed ------------------------------------------------------------------------------- */

static void
release(Fed *fed)
{
    Py_CLEAR(fed->course);
    Py_CLEAR(fed->times);
}

/* Where the marks lead. */
static PyObject *
find_course(PyObject *timeline, PyObject *marks)
{
    Py_ssize_t many = PyList_GET_SIZE(marks) / MARK;
    PyObject *kinds = PyTuple_New(many);
    for (Py_ssize_t at = 0; kinds != NULL && at < many; at++) {
        PyTuple_SET_ITEM(kinds, at, Py_NewRef(PyList_GET_ITEM(marks, MARK * at)));
    }
    PyObject *phase = TIMELINE(timeline, phase), *before = TIMELINE(timeline, _before_tls);
    PyObject *key = kinds == NULL ? NULL : PyTuple_Pack(3, phase, before, kinds);
    PyObject *course = key == NULL ? NULL : PyDict_GetItemWithError(given.courses, key);
    Py_XINCREF(course);
    if (course == NULL && key != NULL && !PyErr_Occurred()) {
        course = PyObject_CallFunctionObjArgs(given.course_of, phase, before, kinds, NULL);
    }
    Py_XDECREF(key);
    Py_XDECREF(kinds);
    return course;
}

/* When the present phase has begun: for the first marks, as long before as the kernel says. */
static PyObject *
since(PyObject *timeline, Fed *fed)
{
    if (!fed->first) {
        fed->last = PyLong_AsLongLong(TIMELINE(timeline, last_ns));
        return Py_NewRef(TIMELINE(timeline, since_ns));
    }
    PyObject *facts = PyList_GET_ITEM(fed->marks, 2);
    if (!PyTuple_Check(facts) || PyTuple_GET_SIZE(facts) <= numbers.WAIT ||
        !PyLong_CheckExact(PyTuple_GET_ITEM(facts, numbers.WAIT))) {
        return NULL;
    }
    fed->last = PyLong_AsLongLong(PyList_GET_ITEM(fed->marks, 1));
    Nanoseconds wait = PyLong_AsLongLong(PyTuple_GET_ITEM(facts, numbers.WAIT));
    return PyLong_FromLongLong(fed->last - wait);
}

/* The times of the course, if none of them is before another. */
static PyObject *
find_times(PyObject *timeline, Fed *fed)
{
    Py_ssize_t many = PyList_GET_SIZE(fed->marks) / MARK;
    PyObject *times = PyList_New(many + 1), *began = times == NULL ? NULL : since(timeline, fed);
    if (began == NULL) {
        Py_XDECREF(times);
        return NULL;
    }
    PyList_SET_ITEM(times, 0, began);
    Nanoseconds last = PyLong_AsLongLong(began);
    last = last < fed->last ? fed->last : last;
    int runs = 1;
    for (Py_ssize_t at = 0; at < many; at++) {
        PyObject *time = PyList_GET_ITEM(fed->marks, MARK * at + 1);
        PyList_SET_ITEM(times, at + 1, Py_NewRef(time));
        Nanoseconds next = PyLong_CheckExact(time) ? PyLong_AsLongLong(time) : -1;
        runs = runs && next >= last;
        last = next;
    }
    if (!runs || PyErr_Occurred()) {
        Py_CLEAR(times);
    }
    return times;
}

/* Whether a course is one of those that most connections take. */
static int
is_usual(PyObject *timeline, PyObject *course)
{
    return is_a(course, given.Course) && PyLong_AsLong(COURSE(course, anomalies)) == 0 &&
           PyLong_AsLong(COURSE(course, last)) > 0 &&
           (COURSE(course, speaks_http) != Py_True || COURSE(course, phase) == given.OVER) &&
           PyLong_AsLong(TIMELINE(timeline, _intervals)) + PyTuple_GET_SIZE(COURSE(course, steps)) <
               numbers.MOST_INTERVALS;
}

/* Take marks up; 0 if they are Python's to take, with no exception. */
static int
take_up(PyObject *timeline, PyObject *marks, Fed *fed)
{
    if (!is_a(timeline, given.Timeline) || !PyList_CheckExact(marks) || !PyList_GET_SIZE(marks) ||
        PyList_GET_SIZE(marks) % MARK) {
        return 0;
    }
    *fed = (Fed){.marks = marks, .first = TIMELINE(timeline, accepted) == Py_None};
    fed->times = find_times(timeline, fed);
    fed->course = fed->times == NULL ? NULL : find_course(timeline, marks);
    if (fed->course != NULL && is_usual(timeline, fed->course) && !PyErr_Occurred()) {
        return 1;
    }
    PyErr_Clear();
    release(fed);
    return 0;
}

/* -- what it changes --------------------------------------------------------------------------- */

/* _begin */
static int
begin(PyObject *timeline, const Fed *fed)
{
    PyObject *now = PyList_GET_ITEM(fed->marks, 1), *start = PyList_GET_ITEM(fed->times, 0);
    put_other(&TIMELINE(timeline, accepted_ns), now);
    put_other(&TIMELINE(timeline, start_ns), start);
    PyObject *facts = PyList_GET_ITEM(fed->marks, 2);
    return put(&TIMELINE(timeline, accepted),
               is_a(facts, given.Accepted) ? Py_NewRef(facts) : named(given.Accepted, facts));
}

static PyObject *
make_leg(PyObject *timeline, const Fed *fed)
{
    PyObject *leg = blank_tuple(given.Leg, LEG);
    if (leg != NULL) {
        PyTuple_SET_ITEM(leg, COURSE_OF, Py_NewRef(fed->course));
        PyTuple_SET_ITEM(leg, TIMES, Py_NewRef(fed->times));
        PyTuple_SET_ITEM(leg, REQUESTS, Py_NewRef(TIMELINE(timeline, sequence)));
        PyTuple_SET_ITEM(leg, FIRST, PyBool_FromLong(fed->first));
    }
    return leg;
}

/* The connection is in another phase, after this leg. */
static int
move(PyObject *timeline, const Fed *fed, PyObject *leg)
{
    PyObject *course = fed->course;
    PyObject *began = PyList_GetItem(fed->times, PyLong_AsSsize_t(COURSE(course, since)));
    PyObject *last = PyList_GetItem(fed->times, PyLong_AsSsize_t(COURSE(course, last)));
    if (began == NULL || last == NULL) {
        return -1;
    }
    put_other(&TIMELINE(timeline, phase), COURSE(course, phase));
    put_other(&TIMELINE(timeline, _before_tls), COURSE(course, before_tls));
    put_other(&TIMELINE(timeline, since_ns), began);
    put_other(&TIMELINE(timeline, last_ns), last);
    if (add_to(&TIMELINE(timeline, _intervals), PyTuple_GET_SIZE(COURSE(course, steps))) < 0) {
        return -1;
    }
    return PyList_Append(TIMELINE(timeline, _legs), leg);
}

PyObject *
feed(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *timeline = args[0];
    Fed fed;
    if (count != 2 || !take_up(timeline, args[1], &fed)) {
        LEAVE_TO_PYTHON(feed);
    }
    int done = fed.first ? begin(timeline, &fed) : 0;
    PyObject *leg = done < 0 ? NULL : make_leg(timeline, &fed);
    if (leg != NULL && (move(timeline, &fed, leg) < 0 || note_all(timeline, &fed, leg) < 0)) {
        Py_CLEAR(leg);
    }
    release(&fed);
    return leg;
}
