/* The module: what Python gives it. */

#include "compiled.h"

struct slots slots;
struct given given;
struct numbers numbers;
struct in_python in_python;

#define OF_COURSE(name) LOCATE_IN(Course, course, name)
#define OF_TIMELINE(name) LOCATE_IN(Timeline, timeline, name)

static PyObject *
connect_course(PyObject *module, PyObject *things)
{
    OF_COURSES(TAKE)
    COURSE_SLOTS(OF_COURSE)
    Py_RETURN_NONE;
}

static PyObject *
connect_timeline(PyObject *module, PyObject *things)
{
    OF_TIMELINES(TAKE)
    NUMBERS(TAKE_NUMBER)
    TIMELINE_SLOTS(OF_TIMELINE)
    if (take_blank(things, "blank_timeline", given.Timeline, &given.blank_timeline) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

LEAVE(TWINS)

static PyMethodDef methods[] = {
    {"connect_course", connect_course, METH_O, "Take what course.py has to give."},
    {"connect_timeline", connect_timeline, METH_O, "Take what timeline.py has to give."},
    LEAVE_METHOD TWINS(TWIN_METHOD){NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_doc = "The core in C.",
    .m_size = -1,          .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModule_Create(&definition);
}
