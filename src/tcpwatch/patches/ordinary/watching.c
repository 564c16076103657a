/* Watching: our own functions in front of the methods of a handler's streams, as patches/streams.py
 * has them there.
 */

#include "ordinary.h"

/* -- what is in front -------------------------------------------------------------------------- */

typedef PyObject *(*Way)(PyObject *connection, PyObject *theirs, PyObject *const *args,
                         Py_ssize_t count);

typedef struct {
    PyObject_HEAD vectorcallfunc call;
    PyObject *connection;
    PyObject *theirs;
    Way way;
} Watcher;

static PyObject *
call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names)
{
    Watcher *self = (Watcher *)object;
    if (self->theirs == NULL) { /* the garbage collector has been here */
        PyErr_SetString(PyExc_RuntimeError, "this watcher is garbage");
        return NULL;
    }
    if (names != NULL) { /* the standard library names none of its arguments */
        return PyObject_Vectorcall(self->theirs, args, flags, names);
    }
    PyObject *connection = Py_NewRef(self->connection), *theirs = Py_NewRef(self->theirs);
    PyObject *result = self->way(connection, theirs, args, PyVectorcall_NARGS(flags));
    Py_DECREF(connection);
    Py_DECREF(theirs);
    return result;
}

static int
traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((Watcher *)object)->connection);
    Py_VISIT(((Watcher *)object)->theirs);
    return 0;
}

static int
clear(PyObject *object)
{
    Py_CLEAR(((Watcher *)object)->theirs); /* first: a call looks at it */
    Py_CLEAR(((Watcher *)object)->connection);
    return 0;
}

static void
dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    clear(object);
    PyObject_GC_Del(object);
}

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tcpwatch.patches.ordinary.Watcher",
    .tp_basicsize = sizeof(Watcher),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Watcher, call),
    .tp_call = PyVectorcall_Call,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
};

int
ready_watcher(void)
{
    return PyType_Ready(&type);
}

static PyObject *
watcher(PyObject *connection, PyObject *theirs, Way way)
{
    Watcher *self = PyObject_GC_New(Watcher, &type);
    if (self != NULL) {
        self->call = call;
        self->connection = Py_NewRef(connection);
        self->theirs = Py_NewRef(theirs);
        self->way = way;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

/* -- to put it there --------------------------------------------------------------------------- */

/* Put a watcher in front of a method of this object: an attribute of its own, which is returned. */
static PyObject *
put_before(PyObject *object, PyObject *word, Way way, PyObject *connection)
{
    PyObject *theirs = PyObject_GetAttr(object, word);
    PyObject *ours = theirs == NULL ? NULL : watcher(connection, theirs, way);
    Py_XDECREF(theirs);
    if (ours != NULL && PyObject_SetAttr(object, word, ours) < 0) {
        Py_CLEAR(ours);
    }
    return ours;
}

/* Watch the streams of these, which are as the standard library's handlers have them. */
static int
watch_both(PyObject *connection, PyObject *raw, PyObject *wfile)
{
    int done = -1;
    PyObject *reader = put_before(raw, words.readinto, read_watched, connection);
    PyObject *writer =
        reader == NULL ? NULL : put_before(wfile, words.write, write_watched, connection);
    if (writer != NULL) {
        done =
            put(&CONNECTION(connection)->handled_by, PyTuple_Pack(4, raw, reader, wfile, writer));
    }
    Py_XDECREF(reader);
    Py_XDECREF(writer);
    return done;
}

/* streams.watch */
int
watch(PyObject *connection, PyObject *handler)
{
    int done = -1;
    PyObject *rfile = PyObject_GetAttr(handler, words.rfile);
    PyObject *raw = rfile == NULL ? NULL : PyObject_GetAttr(rfile, words.raw);
    PyObject *wfile = raw == NULL ? NULL : PyObject_GetAttr(handler, words.wfile);
    if (is_a(raw, given.SocketIO) && is_a(wfile, given.SocketWriter)) {
        done = watch_both(connection, raw, wfile);
    } else if (is_forgiven()) {
        PyObject *none = PyObject_CallFunctionObjArgs(given.watch, connection, handler, NULL);
        done = none == NULL ? -1 : 0;
        Py_XDECREF(none);
    }
    Py_XDECREF(rfile);
    Py_XDECREF(raw);
    Py_XDECREF(wfile);
    return done;
}

/* -- and to take it off ------------------------------------------------------------------------ */

/* Take an attribute of ours off again, unless somebody has put theirs in its place. */
static int
take_off(PyObject *object, PyObject *word, PyObject *ours)
{
    PyObject *own = PyObject_GenericGetDict(object, NULL);
    PyObject *found = own == NULL ? NULL : PyDict_GetItemWithError(own, word);
    int done = PyErr_Occurred() ? -1 : 0;
    if (found != NULL && found == ours) {
        done = PyObject_SetAttr(object, word, NULL);
    }
    Py_XDECREF(own);
    return done;
}

/* streams.unwatch */
int
unwatch(PyObject *connection)
{
    PyObject *parts = CONNECTION(connection)->handled_by;
    if (!PyTuple_CheckExact(parts) || PyTuple_GET_SIZE(parts) != 4 ||
        !is_a(PyTuple_GET_ITEM(parts, 0), given.SocketIO) ||
        !is_a(PyTuple_GET_ITEM(parts, 2), given.SocketWriter)) {
        PyObject *none = PyObject_CallOneArg(given.unwatch, connection);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    CONNECTION(connection)->handled_by = Py_NewRef(Py_None);
    int done = take_off(PyTuple_GET_ITEM(parts, 0), words.readinto, PyTuple_GET_ITEM(parts, 1));
    if (done == 0) {
        done = take_off(PyTuple_GET_ITEM(parts, 2), words.write, PyTuple_GET_ITEM(parts, 3));
    }
    Py_DECREF(parts);
    return done;
}
