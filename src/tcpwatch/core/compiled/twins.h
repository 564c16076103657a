/* Functions in C that are twins of some in Python: what is given them, and what they leave to it.
 *
 * What they need is listed where it is declared (GIVEN, NUMBERS, TWINS), and taken by those names.
 */

#ifndef TCPWATCH_TWINS_H
#define TCPWATCH_TWINS_H

#include "slots.h"

#define DECLARE(name) PyObject *name;
#define DECLARE_NUMBER(name) long name;

/* Take what is called so out of a dictionary. */
static inline int
take(PyObject *from, const char *name, PyObject **where)
{
    PyObject *found = PyDict_GetItemString(from, name);
    if (found == NULL) {
        PyErr_Format(PyExc_KeyError, "connect() was not given %s", name);
        return -1;
    }
    put_other(where, found);
    return 0;
}

/* The same, of an object whose slots are to be kept. */
static inline int
take_blank(PyObject *from, const char *name, PyObject *cls, PyObject **where)
{
    PyObject *blank = NULL;
    if (take(from, name, &blank) < 0) {
        return -1;
    }
    int done = keep_slots(where, blank, cls);
    Py_DECREF(blank);
    return done;
}

/* The same, of a whole number. */
static inline int
take_number(PyObject *from, const char *name, long *where)
{
    PyObject *found = NULL;
    if (take(from, name, &found) < 0) {
        return -1;
    }
    *where = PyLong_AsLong(found);
    Py_DECREF(found);
    return PyErr_Occurred() ? -1 : 0;
}

/* The function that takes a twin in Python, to which the one in C leaves what it does not know. */
#define IS_CALLED(twin)                                                                            \
    if (strcmp(name, #twin) == 0) {                                                                \
        put_other(&in_python.twin, function);                                                      \
        Py_RETURN_NONE;                                                                            \
    }
#define LEAVE(TWINS)                                                                               \
    static PyObject *leave(PyObject *module, PyObject *args)                                       \
    {                                                                                              \
        const char *name;                                                                          \
        PyObject *function;                                                                        \
        if (!PyArg_ParseTuple(args, "sO:leave", &name, &function)) {                               \
            return NULL;                                                                           \
        }                                                                                          \
        TWINS(IS_CALLED)                                                                           \
        return PyErr_Format(PyExc_KeyError, "%s has no twin", name);                               \
    }
#define LEAVE_METHOD                                                                               \
    {"leave", leave, METH_VARARGS, "Take the function to which another of its name leaves things."},
#define TWIN_METHOD(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL},
#define LEAVE_TO_PYTHON(name) return PyObject_Vectorcall(in_python.name, args, count, NULL)
#define PROTOTYPE(name) PyObject *name(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* For functions that are given `things` and fill `given` and `slots`; they return NULL if they
 * cannot.
 */
#define TAKE(name)                                                                                 \
    if (take(things, #name, &given.name) < 0) {                                                    \
        return NULL;                                                                               \
    }
#define TAKE_NUMBER(name)                                                                          \
    if (take_number(things, #name, &numbers.name) < 0) {                                           \
        return NULL;                                                                               \
    }
#define LOCATE_IN(cls, part, name)                                                                 \
    if (locate(given.cls, #name, &slots.part.name) < 0) {                                          \
        return NULL;                                                                               \
    }

#endif
