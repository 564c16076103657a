/* Objects whose classes have __slots__, read and written where the slots are. */

#ifndef TCPWATCH_SLOTS_H
#define TCPWATCH_SLOTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <structmember.h>

#ifdef Py_GIL_DISABLED
#error "Slots are written without a lock: the GIL is the lock."
#endif

#define AT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* Put a value, of which the reference is taken over, into a slot. -1 if it is NULL. */
static inline int
put(PyObject **slot, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    PyObject *old = *slot;
    *slot = value;
    Py_XDECREF(old);
    return 0;
}

static inline void
put_other(PyObject **slot, PyObject *value)
{
    put(slot, Py_NewRef(value));
}

static inline int
is_a(PyObject *object, PyObject *cls)
{
    return object != NULL && Py_TYPE(object) == (PyTypeObject *)cls;
}

/* Find out where a class keeps a slot. */
static inline int
locate(PyObject *cls, const char *name, Py_ssize_t *offset)
{
    PyObject *found = PyObject_GetAttrString(cls, name);
    if (found == NULL) {
        return -1;
    }
    int is_slot = Py_TYPE(found) == &PyMemberDescr_Type &&
                  ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX;
    if (is_slot) {
        *offset = ((PyMemberDescrObject *)found)->d_member->offset;
    } else {
        PyErr_Format(PyExc_TypeError, "%R.%s is no slot", cls, name);
    }
    Py_DECREF(found);
    return is_slot ? 0 : -1;
}

/* Keep what an object has in its slots, which must be all that it has. */
static inline int
keep_slots(PyObject **where, PyObject *object, PyObject *cls)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    if (!PyType_Check(cls) || type->tp_dictoffset || type->tp_weaklistoffset ||
        Py_TYPE(object) != type) {
        PyErr_Format(PyExc_TypeError, "%R has more than slots", cls);
        return -1;
    }
    Py_ssize_t size = (type->tp_basicsize - sizeof(PyObject)) / sizeof(PyObject *);
    PyObject *kept = PyTuple_New(size), **slot = (PyObject **)(object + 1);
    for (Py_ssize_t at = 0; kept != NULL && at < size; at++) {
        PyTuple_SET_ITEM(kept, at, Py_NewRef(slot[at] == NULL ? Py_None : slot[at]));
    }
    return put(where, kept);
}

/* Return a new object of a class, its slots filled with what __init__ has left in a blank one. */
static inline PyObject *
blank_of(PyObject *cls, PyObject *blank)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    Py_INCREF(blank);
    PyObject *made = type->tp_alloc(type, 0);
    if (made != NULL) {
        PyObject **slot = (PyObject **)(made + 1);
        for (Py_ssize_t at = 0; at < PyTuple_GET_SIZE(blank); at++) {
            slot[at] = Py_NewRef(PyTuple_GET_ITEM(blank, at));
        }
    }
    Py_DECREF(blank);
    return made;
}

/* Return a tuple of a class (NamedTuples are such) with these, of which the references are taken
 * over; NULL if one of them is.
 */
static inline PyObject *
tuple_of(PyObject *cls, PyObject **fields, Py_ssize_t size)
{
    PyTypeObject *type = (PyTypeObject *)cls;
    PyObject *made = PyErr_Occurred() ? NULL : type->tp_alloc(type, size);
    for (Py_ssize_t at = 0; at < size; at++) {
        if (made != NULL) {
            PyTuple_SET_ITEM(made, at, fields[at]);
        } else {
            Py_XDECREF(fields[at]);
        }
    }
    return made;
}

#define OFFSET(name) Py_ssize_t name;

#endif
