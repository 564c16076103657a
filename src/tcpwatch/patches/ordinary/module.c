/* The module: what Python gives it, and what its rooms have in common. */

#include "ordinary.h"

struct slots slots;
struct given given;
struct numbers numbers;
struct in_python in_python;
struct words words;

/* -- tables and objects ------------------------------------------------------------------------ */

/* Return what a table has for id(object), if it is of this class; else NULL, without exception. */
PyObject *
find(PyObject *table, PyObject *object, PyObject *cls)
{
    PyObject *identity = PyLong_FromVoidPtr(object);
    PyObject *found = identity == NULL ? NULL : PyDict_GetItemWithError(table, identity);
    Py_XDECREF(identity);
    PyErr_Clear();
    return is_a(found, cls) ? Py_NewRef(found) : NULL;
}

/* threading.get_ident() */
PyObject *
thread_key(void)
{
    return PyLong_FromUnsignedLong(PyThread_get_thread_ident());
}

/* Return the connection that this thread serves; NULL, without exception, if there is none. */
PyObject *
of_this_thread(void)
{
    PyObject *here = thread_key();
    PyObject *found = here == NULL ? NULL : PyDict_GetItemWithError(given.serving, here);
    Py_XDECREF(here);
    PyErr_Clear();
    return is_a(found, given.Connection) ? Py_NewRef(found) : NULL;
}

/* Whether what was raised is only that an attribute is missing; then it is taken back. */
int
is_forgiven(void)
{
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return 0; /* a signal handler's, say */
    }
    PyErr_Clear();
    return 1;
}

/* Whether this process, or another for it, does what a forking server does: that is Python's. */
int
is_forked(void)
{
    return POST(remote) == Py_True || POST(in_child) == Py_True;
}

/* -- marks ------------------------------------------------------------------------------------- */

/* connection.marks += (kind, time, payload) */
int
mark(PyObject *connection, PyObject *kind, Nanoseconds time, PyObject *payload)
{
    PyObject *marks = CONNECTION(connection)->marks;
    PyObject *at = PyLong_FromLongLong(time);
    if (at == NULL || PyList_Append(marks, kind) < 0 || PyList_Append(marks, at) < 0 ||
        PyList_Append(marks, payload) < 0) {
        Py_XDECREF(at);
        return -1;
    }
    Py_DECREF(at);
    return 0;
}

/* Post.send, to a worker of this process */
int
send_marks(PyObject *connection, PyObject *marks)
{
    PyObject *queue = Py_NewRef(POST(queue)), *none = NULL;
    Py_ssize_t many = PyLong_AsSsize_t(POST(_crowd));
    PyObject *message = PyTuple_Pack(3, words.marks, CONNECTION(connection)->key, marks);
    if (message != NULL) {
        none = PyObject_CallMethodOneArg(queue, words.append, message);
    }
    if (none != NULL && PyObject_Size(queue) > many) {
        Py_SETREF(none, PyObject_CallMethodOneArg(given.post, words._hurry, queue));
    }
    Py_DECREF(queue);
    Py_XDECREF(message);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* -- the module -------------------------------------------------------------------------------- */

#define TAKE_HOOK(name)                                                                            \
    if (take(hooks, #name, &in_python.name) < 0) {                                                 \
        return NULL;                                                                               \
    }
#define OF_HUB(name) LOCATE_IN(Hub, hub, name)
#define OF_POST(name) LOCATE_IN(Post, post, name)
#define OF_SETTINGS(name) LOCATE_IN(Settings, settings, name)

static PyObject *
connect_to(PyObject *module, PyObject *args)
{
    PyObject *things, *hooks;
    if (!PyArg_ParseTuple(args, "O!O!:connect", &PyDict_Type, &things, &PyDict_Type, &hooks)) {
        return NULL;
    }
    GIVEN(TAKE)
    NUMBERS(TAKE_NUMBER)
    HOOKS(TAKE_HOOK)
    HUB_SLOTS(OF_HUB)
    POST_SLOTS(OF_POST)
    SETTINGS_SLOTS(OF_SETTINGS)
    if (HAS_FIELDS(Connection) < 0 || HAS_FIELDS(Exchange) < 0 || HAS_FIELDS(Loop) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"connect", connect_to, METH_VARARGS, "Take the things of Python's, and the hooks' twins."},
    {"around", around, METH_VARARGS, "Return what calls a method, and its hooks round it."},
    HOOKS(TWIN_METHOD){NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_ordinary",
    "The ordinary case of the hooks.",
    -1,
    methods,
    NULL,
    NULL,
    NULL,
    NULL,
};

#define INTERN(word)                                                                               \
    words.word = PyUnicode_InternFromString(#word);                                                \
    if (words.word == NULL) {                                                                      \
        return NULL;                                                                               \
    }

PyMODINIT_FUNC
PyInit__ordinary(void)
{
    WORDS(INTERN)
    if (ready_around() < 0 || ready_watcher() < 0) {
        return NULL;
    }
    return PyModule_Create(&definition);
}
