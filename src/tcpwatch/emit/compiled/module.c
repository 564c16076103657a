/* The module: what Python gives it. */

#include "compiled.h"

struct slots slots;
struct given given;
struct numbers numbers;
struct in_python in_python;
struct words words;

#define OF_LOOK(name) LOCATE_IN(Look, look, name)
#define OF_POST(name) LOCATE_IN(Post, post, name)
#define OF_TIMELINE(name) LOCATE_IN(Timeline, timeline, name)

static PyObject *
connect_requests(PyObject *module, PyObject *things)
{
    OF_REQUESTS(TAKE)
    NUMBERS_OF_REQUESTS(TAKE_NUMBER)
    LOOK_SLOTS(OF_LOOK)
    POST_SLOTS(OF_POST)
    if (HAS_FIELDS(Connection) < 0 || HAS_FIELDS(Exchange) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
connect_histograms(PyObject *module, PyObject *things)
{
    OF_HISTOGRAMS(TAKE)
    NUMBERS_OF_HISTOGRAMS(TAKE_NUMBER)
    TIMELINE_SLOTS(OF_TIMELINE)
    if (!PyTuple_CheckExact(given.LABELS) || PyTuple_GET_SIZE(given.LABELS) > MOST_LABELS) {
        PyErr_SetString(PyExc_TypeError, "a request has a tuple of labels, and few");
        return NULL;
    }
    Py_RETURN_NONE;
}

LEAVE(TWINS)

static PyMethodDef methods[] = {
    {"pack", pack, METH_O,
     "pack(finished)\n--\n\nReturn a span's message, None if Python is to do it."},
    {"packed", (PyCFunction)(void (*)(void))packed, METH_FASTCALL,
     "packed(spans, home, cls)\n--\n\nReturn LateSpans, None if Python is to make them."},
    {"began", (PyCFunction)(void (*)(void))began, METH_FASTCALL,
     "began(spans, connection, exchange, head, app)\n--\n\nSay whether a request's span was "
     "begun."},
    {"connect_requests", connect_requests, METH_O, "Take what requests.py has to give."},
    {"connect_histograms", connect_histograms, METH_O, "Take what histograms.py has to give."},
    LEAVE_METHOD TWINS(TWIN_METHOD){NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_compiled",
    .m_doc = "Spans in C: how most of them start, and their messages.",
    .m_size = -1,
    .m_methods = methods,
};

#define INTERN(word)                                                                               \
    if ((words.word = PyUnicode_InternFromString(#word)) == NULL) {                                \
        return NULL;                                                                               \
    }

PyMODINIT_FUNC
PyInit__compiled(void)
{
    WORDS(INTERN)
    given.sixty_four = PyLong_FromLong(64);
    given.nothing = PyTuple_New(0);
    return given.sixty_four && given.nothing ? PyModule_Create(&definition) : NULL;
}
