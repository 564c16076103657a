/* The accept loop: what hub/loop.py and patches/socketserver.py do at each of its turns. */

#include "ordinary.h"

/* Where the time of a state is added up; NULL and an exception if it is none. */
static Nanoseconds *
total_of(Loop *loop, PyObject *state)
{
    if (state == given.LOOP_IDLE) {
        return &loop->idle_ns;
    }
    if (state == given.LOOP_ACCEPT) {
        return &loop->accept_ns;
    }
    if (state == given.LOOP_DISPATCH) {
        return &loop->dispatch_ns;
    }
    if (state == given.LOOP_INLINE) {
        return &loop->inline_ns;
    }
    if (state == given.LOOP_SERVICE) {
        return &loop->service_ns;
    }
    if (state == given.LOOP_TLS_HANDSHAKE) {
        return &loop->tls_handshake_ns;
    }
    PyErr_SetObject(PyExc_KeyError, state);
    return NULL;
}

static int
remember(PyObject *loop, Nanoseconds time)
{
    /* To make a tuple may collect garbage, and let another thread write on the loop. */
    PyObject *label = LOOP(loop)->label;
    PyObject *what = Py_NewRef(label == Py_None ? LOOP(loop)->state : label);
    PyObject *since = PyLong_FromLongLong(LOOP(loop)->since_ns);
    PyObject *until = PyLong_FromLongLong(time);
    PyObject *who = Py_NewRef(LOOP(loop)->connection), *activity = NULL;
    if (since != NULL && until != NULL) {
        activity = PyTuple_Pack(4, what, since, until, who);
    }
    Py_DECREF(what);
    Py_XDECREF(since);
    Py_XDECREF(until);
    Py_DECREF(who);
    if (activity == NULL) {
        return -1;
    }
    PyObject *none = PyObject_CallMethodOneArg(LOOP(loop)->history, words.append, activity);
    Py_DECREF(activity);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Whether it is this thread that runs the loop. */
int
is_of_this_thread(PyObject *loop)
{
    return (unsigned long)LOOP(loop)->thread_id == PyThread_get_thread_ident();
}

/* Loop.turn */
int
turn(PyObject *loop, PyObject *state, Nanoseconds time, PyObject *connection)
{
    if (LOOP(loop)->since_ns) {
        Nanoseconds spent = time - LOOP(loop)->since_ns;
        Nanoseconds *total = total_of(LOOP(loop), LOOP(loop)->state);
        if (total == NULL) {
            return -1;
        }
        *total += spent;
        if (spent >= numbers.SHORTEST_ACTIVITY_NS && remember(loop, time) < 0) {
            return -1;
        }
    }
    put_other(&LOOP(loop)->state, state);
    put_other(&LOOP(loop)->label, Py_None);
    put_other(&LOOP(loop)->connection, connection);
    LOOP(loop)->since_ns = time;
    return 0;
}

/* Loop.read_queue, but for its result. */
int
read_queue(PyObject *loop, Nanoseconds time)
{
    PyObject *sock = Py_NewRef(LOOP(loop)->sock);
    struct tcp_info told;
    int known =
        is_a(LOOP(loop)->kernel, given.Kernel) && sock != Py_None && read_listener(sock, &told);
    Py_DECREF(sock);
    if (!known) {
        PyObject *at = PyLong_FromLongLong(time);
        PyObject *depth = at == NULL ? NULL : PyObject_CallMethodOneArg(loop, words.read_queue, at);
        Py_XDECREF(at);
        Py_XDECREF(depth);
        return depth == NULL ? -1 : 0;
    }
    if (put(&LOOP(loop)->depth, PyLong_FromUnsignedLong(told.tcpi_unacked)) < 0 ||
        put(&LOOP(loop)->limit, PyLong_FromUnsignedLong(told.tcpi_sacked)) < 0) {
        return -1;
    }
    if (!told.tcpi_unacked) {
        LOOP(loop)->depth_zero_ns = time;
    }
    return 0;
}

/* Loop.enter_select */
static int
enter_select(PyObject *loop)
{
    if (LOOP(loop)->state == given.LOOP_IDLE && LOOP(loop)->since_ns) {
        return 0;
    }
    Nanoseconds time = now();
    if (turn(loop, given.LOOP_IDLE, time, Py_None) < 0) {
        return -1;
    }
    LOOP(loop)->away_since = 0;
    if (read_queue(loop, time) < 0) {
        return -1;
    }
    PyObject *depth = LOOP(loop)->depth;
    int waiting = depth != Py_None && PyObject_IsTrue(depth) == 1;
    LOOP(loop)->slept = depth != Py_None && !waiting;
    if (!waiting && PyObject_Size(LOOP(loop)->history) > 0) {
        /* Nobody waits, so nothing before this moment can be blamed for a wait. */
        PyObject *none = PyObject_CallMethodNoArgs(LOOP(loop)->history, words.clear);
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
    if (!LOOP(loop)->away_since) {
        LOOP(loop)->away_since = time;
    }
    LOOP(loop)->select_returned_ns = time;
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
    if (!LOOP(loop)->running || LOOP(loop)->spinning || !is_of_this_thread(loop)) {
        Py_CLEAR(loop);
    }
    return loop;
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
    int sleeps = LOOP(loop)->state == given.LOOP_IDLE;
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
    LOOP(loop)->getting = 0;
    return token_or_error(loop, leave_select(loop, given.LOOP_ACCEPT));
}

PyObject *
turned(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    PyObject *loop = args[0];
    if (!is_a(loop, given.Loop) || LOOP(loop)->spinning || LOOP(loop)->services ||
        LOOP(loop)->by_hand || is_forked()) {
        LEAVE_TO_PYTHON(turned);
    }
    if (enter_select(loop) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
