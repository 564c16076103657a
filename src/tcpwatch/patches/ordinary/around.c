/* What a wrapper does: the two hooks round a method, as patches/wrapper.py has them in Python.
 *
 * The wrapper itself stays a function, for all who look at it, and calls one of these.
 */

#include "ordinary.h"

#include <structmember.h>

typedef struct {
    PyObject_HEAD vectorcallfunc call;
    PyObject *original;
    PyObject *before; /* NULL: the token is the method's first argument */
    PyObject *after;  /* NULL: nothing comes after it */
    PyObject *failed;
    Py_ssize_t shown; /* to `before`, so many arguments */
    int one_of;
    int untimed;
    char on;
} Around;

/* Count the time since then as ours, and that of the calls that are not timed. */
static int
spend(Around *self, Nanoseconds began)
{
    if (!began) {
        return 0;
    }
    Nanoseconds before = PyLong_AsLongLong(HUB(self_ns));
    if (before == -1 && PyErr_Occurred()) {
        return -1;
    }
    return put(&HUB(self_ns), PyLong_FromLongLong(before + (now() - began) * self->one_of));
}

/* A hook has raised; what is no Exception goes on. */
static int
report_failure(Around *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyErr_NormalizeException(&kind, &error, &trace);
    if (trace != NULL) {
        PyException_SetTraceback(error, trace);
    }
    PyObject *none = PyObject_CallOneArg(self->failed, error);
    Py_XDECREF(kind);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

/* Call `before`; NULL if what it raises is to go on. */
static PyObject *
token_of(Around *self, PyObject *const *args, Nanoseconds began)
{
    PyObject *token;
    if (self->before == NULL) {
        token = Py_NewRef(args[0]);
    } else if (!self->on) {
        token = Py_NewRef(Py_None);
    } else {
        token = PyObject_Vectorcall(self->before, args, self->shown, NULL);
        if (token == NULL && report_failure(self) == 0) {
            token = Py_NewRef(Py_None);
        }
    }
    if (token != NULL && self->before != NULL && spend(self, began) < 0) {
        Py_CLEAR(token);
    }
    return token;
}

static int
call_after(Around *self, PyObject *token, PyObject *result, PyObject *error)
{
    if (token == Py_None || self->after == NULL || (self->before == NULL && !self->on)) {
        return 0;
    }
    PyObject *args[] = {token, result, error};
    PyObject *none = PyObject_Vectorcall(self->after, args, 3, NULL);
    Py_XDECREF(none);
    return none == NULL ? report_failure(self) : 0;
}

/* The method has raised: `after` gets to see it, and it goes on. */
static void
after_error(Around *self, PyObject *token)
{
    PyObject *kind, *error, *trace;
    PyErr_Fetch(&kind, &error, &trace);
    PyErr_NormalizeException(&kind, &error, &trace);
    if (trace != NULL) {
        PyException_SetTraceback(error, trace);
    }
    if (call_after(self, token, Py_None, error) == 0) {
        PyErr_Restore(kind, error, trace);
        return;
    }
    PyObject *other, *raised, *where; /* by `after`, while it looked at `error` */
    PyErr_Fetch(&other, &raised, &where);
    PyErr_NormalizeException(&other, &raised, &where);
    if (raised != error) {
        PyException_SetContext(raised, Py_NewRef(error));
    }
    PyErr_Restore(other, raised, where);
    Py_XDECREF(kind);
    Py_XDECREF(error);
    Py_XDECREF(trace);
}

static PyObject *
call(PyObject *object, PyObject *const *args, size_t flags, PyObject *names)
{
    Around *self = (Around *)object;
    if (names != NULL || PyVectorcall_NARGS(flags) < self->shown) {
        PyErr_SetString(PyExc_TypeError, "a wrapper passes its arguments on, by position");
        return NULL;
    }
    if (self->original == NULL) { /* the garbage collector has been here */
        PyErr_SetString(PyExc_RuntimeError, "this wrapper is garbage");
        return NULL;
    }
    Nanoseconds began = 0;
    if (++self->untimed >= self->one_of) {
        self->untimed = 0;
        began = now();
    }
    PyObject *token = token_of(self, args, began);
    if (token == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(self->original, args, flags, NULL);
    if (result == NULL) {
        after_error(self, token);
    } else if (token != Py_None && self->after != NULL) {
        began = began ? now() : 0;
        if (call_after(self, token, result, Py_None) < 0 || spend(self, began) < 0) {
            Py_CLEAR(result);
        }
    }
    Py_DECREF(token);
    return result;
}

/* -- the type ---------------------------------------------------------------------------------- */

static int
traverse(PyObject *object, visitproc visit, void *arg)
{
    Around *self = (Around *)object;
    Py_VISIT(self->original);
    Py_VISIT(self->before);
    Py_VISIT(self->after);
    Py_VISIT(self->failed);
    return 0;
}

static int
clear(PyObject *object)
{
    Around *self = (Around *)object;
    Py_CLEAR(self->original);
    Py_CLEAR(self->before);
    Py_CLEAR(self->after);
    Py_CLEAR(self->failed);
    return 0;
}

static void
dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    clear(object);
    PyObject_GC_Del(object);
}

static PyMemberDef members[] = {
    {"on", T_BOOL, offsetof(Around, on), 0, "Whether the hooks are called."},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tcpwatch.patches.ordinary.Around",
    .tp_basicsize = sizeof(Around),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Around, call),
    .tp_call = PyVectorcall_Call,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_dealloc = dealloc,
    .tp_members = members,
};

int
ready_around(void)
{
    return PyType_Ready(&type);
}

/* around(original, before | None, after | None, failed, shown, one_of) */
PyObject *
around(PyObject *module, PyObject *args)
{
    PyObject *original, *before, *after, *failed;
    Py_ssize_t shown;
    int one_of;
    if (!PyArg_ParseTuple(args, "OOOOni:around", &original, &before, &after, &failed, &shown,
                          &one_of)) {
        return NULL;
    }
    if (shown < 1) {
        PyErr_SetString(PyExc_ValueError, "a hook is shown the instance, at least");
        return NULL;
    }
    Around *self = PyObject_GC_New(Around, &type);
    if (self == NULL) {
        return NULL;
    }
    self->call = call;
    self->original = Py_NewRef(original);
    self->before = before == Py_None ? NULL : Py_NewRef(before);
    self->after = after == Py_None ? NULL : Py_NewRef(after);
    self->failed = Py_NewRef(failed);
    self->shown = shown;
    self->one_of = one_of;
    self->untimed = 0;
    self->on = 1;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}
