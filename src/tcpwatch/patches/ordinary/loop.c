/* The accept loop: what hub/loop.py and patches/socketserver.py do at each of its turns. */

#include "ordinary.h"

#define SHORTEST_ACTIVITY_NS 20000

static int
add_time(PyObject *totals, PyObject *state, Nanoseconds spent)
{
    PyObject *before = PyDict_GetItemWithError(totals, state);
    if (before == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetObject(PyExc_KeyError, state);
        }
        return -1;
    }
    Nanoseconds total = time_of(before);
    if (total == -1 && PyErr_Occurred()) {
        return -1;
    }
    PyObject *sum = PyLong_FromLongLong(total + spent);
    int done = sum == NULL ? -1 : PyDict_SetItem(totals, state, sum);
    Py_XDECREF(sum);
    return done;
}

static int
remember(PyObject *loop, Nanoseconds time)
{
    /* To make a tuple may collect garbage, and let another thread write on the loop. */
    PyObject *what = Py_NewRef(is_set(LOOP(loop, label)) ? LOOP(loop, label) : LOOP(loop, state));
    PyObject *since = Py_NewRef(LOOP(loop, since_ns)), *until = PyLong_FromLongLong(time);
    PyObject *who = Py_NewRef(LOOP(loop, connection));
    PyObject *activity = until == NULL ? NULL : PyTuple_Pack(4, what, since, until, who);
    Py_DECREF(what);
    Py_DECREF(since);
    Py_XDECREF(until);
    Py_DECREF(who);
    if (activity == NULL) {
        return -1;
    }
    PyObject *none = PyObject_CallMethodOneArg(LOOP(loop, history), words.append, activity);
    Py_DECREF(activity);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Loop.turn */
int
turn(PyObject *loop, PyObject *state, Nanoseconds time, PyObject *connection)
{
    Nanoseconds since = time_of(LOOP(loop, since_ns));
    if (since == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (since) {
        Nanoseconds spent = time - since;
        if (add_time(LOOP(loop, totals), LOOP(loop, state), spent) < 0) {
            return -1;
        }
        if (spent >= SHORTEST_ACTIVITY_NS && remember(loop, time) < 0) {
            return -1;
        }
    }
    put_other(&LOOP(loop, state), state);
    put_other(&LOOP(loop, label), Py_None);
    put_other(&LOOP(loop, connection), connection);
    return put_time(&LOOP(loop, since_ns), time);
}

/* Loop.read_queue, but for its result. */
int
read_queue(PyObject *loop, Nanoseconds time)
{
    PyObject *sock = Py_NewRef(LOOP(loop, sock));
    struct tcp_info told;
    int known =
        is_a(LOOP(loop, kernel), given.Kernel) && sock != Py_None && read_listener(sock, &told);
    Py_DECREF(sock);
    if (!known) {
        PyObject *at = PyLong_FromLongLong(time);
        PyObject *depth = at == NULL ? NULL : PyObject_CallMethodOneArg(loop, words.read_queue, at);
        Py_XDECREF(at);
        Py_XDECREF(depth);
        return depth == NULL ? -1 : 0;
    }
    if (put(&LOOP(loop, depth), PyLong_FromUnsignedLong(told.tcpi_unacked)) < 0 ||
        put(&LOOP(loop, limit), PyLong_FromUnsignedLong(told.tcpi_sacked)) < 0) {
        return -1;
    }
    return told.tcpi_unacked ? 0 : put_time(&LOOP(loop, depth_zero_ns), time);
}

/* Loop.enter_select */
static int
enter_select(PyObject *loop)
{
    if (LOOP(loop, state) == given.LOOP_IDLE && is_set(LOOP(loop, since_ns))) {
        return 0;
    }
    Nanoseconds time = now();
    if (turn(loop, given.LOOP_IDLE, time, Py_None) < 0 ||
        put_time(&LOOP(loop, away_since), 0) < 0 || read_queue(loop, time) < 0) {
        return -1;
    }
    PyObject *depth = LOOP(loop, depth);
    int waiting = depth != Py_None && is_set(depth);
    put_other(&LOOP(loop, slept), depth != Py_None && !waiting ? Py_True : Py_False);
    if (!waiting && PyObject_Size(LOOP(loop, history)) > 0) {
        /* Nobody waits, so nothing before this moment can be blamed for a wait. */
        PyObject *none = PyObject_CallMethodNoArgs(LOOP(loop, history), words.clear);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    return 0;
}

/* Loop.leave_select */
static int
leave_select(PyObject *loop, PyObject *state)
{
    Nanoseconds time = now();
    if (!is_set(LOOP(loop, away_since)) && put_time(&LOOP(loop, away_since), time) < 0) {
        return -1;
    }
    if (put_time(&LOOP(loop, select_returned_ns), time) < 0) {
        return -1;
    }
    return turn(loop, state, time, Py_None);
}

/* The loop of a server that runs on this thread already; NULL if there is none. */
static PyObject *
running_here(PyObject *server)
{
    PyObject *loop = find(given.loops, server, given.Loop);
    if (loop == NULL) {
        return NULL;
    }
    unsigned long thread = PyLong_AsUnsignedLong(LOOP(loop, thread_id));
    if (thread == PyThread_get_thread_ident() && LOOP(loop, running) == Py_True &&
        LOOP(loop, spinning) == Py_False) {
        return loop;
    }
    PyErr_Clear();
    Py_DECREF(loop);
    return NULL;
}

static PyObject *
token_or_error(PyObject *loop, int done)
{
    if (done < 0) {
        Py_CLEAR(loop);
    }
    return loop;
}

PyObject *
service_began(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = running_here(args[0]);
    if (loop == NULL) {
        LEAVE_TO_PYTHON(service_began);
    }
    int sleeps = LOOP(loop, state) == given.LOOP_IDLE;
    return token_or_error(loop, sleeps ? leave_select(loop, given.LOOP_SERVICE) : 0);
}

PyObject *
service_ended(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (!is_a(args[0], given.Loop) || is_forked()) {
        LEAVE_TO_PYTHON(service_ended);
    }
    if (enter_select(args[0]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
woken(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = running_here(args[0]);
    if (loop == NULL) {
        LEAVE_TO_PYTHON(woken);
    }
    /* Still True if a signal handler's exception has ended the last turn. */
    put_other(&LOOP(loop, getting), Py_False);
    return token_or_error(loop, leave_select(loop, given.LOOP_ACCEPT));
}

PyObject *
turned(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = args[0];
    if (!is_a(loop, given.Loop) || LOOP(loop, spinning) != Py_False ||
        LOOP(loop, services) != Py_False || LOOP(loop, by_hand) != Py_False || is_forked()) {
        LEAVE_TO_PYTHON(turned);
    }
    if (enter_select(loop) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
