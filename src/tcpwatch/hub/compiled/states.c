/* The classes whose fields states.h lists, and nothing else: no methods, no dictionary. */

#include "states.h"

#define OBJECT_MEMBER(name) {#name, T_OBJECT_EX, offsetof(STATE, name), 0, NULL},
#define NUMBER_MEMBER(name) {#name, T_LONGLONG, offsetof(STATE, name), 0, NULL},
#define FLAG_MEMBER(name) {#name, T_BOOL, offsetof(STATE, name), 0, NULL},
#define VISIT(name) Py_VISIT(state->name);
#define CLEAR(name) Py_CLEAR(state->name);

#define STATE_TYPE(called, cls, of)                                                                \
    {                                                                                              \
        PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tcpwatch.hub.compiled." called,                  \
        .tp_basicsize = sizeof(cls),                                                               \
        .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,                 \
        .tp_new = PyType_GenericNew,                                                               \
        .tp_traverse = traverse_##of,                                                              \
        .tp_clear = clear_##of,                                                                    \
        .tp_dealloc = dealloc_##of,                                                                \
        .tp_members = of##_members,                                                                \
    }

/* -- Connection -------------------------------------------------------------------------------- */

#define STATE Connection

static PyMemberDef connection_members[] = {
    CONNECTION_FIELDS(OBJECT_MEMBER, NUMBER_MEMBER, FLAG_MEMBER){NULL, 0, 0, 0, NULL},
};

static int
traverse_connection(PyObject *object, visitproc visit, void *arg)
{
    Connection *state = CONNECTION(object);
    CONNECTION_FIELDS(VISIT, NO_FIELD, NO_FIELD)
    return 0;
}

static int
clear_connection(PyObject *object)
{
    Connection *state = CONNECTION(object);
    CONNECTION_FIELDS(CLEAR, NO_FIELD, NO_FIELD)
    return 0;
}

static void
dealloc_connection(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    clear_connection(object);
    Py_TYPE(object)->tp_free(object);
}

static PyTypeObject connection_type = STATE_TYPE("Connection", Connection, connection);

#undef STATE

/* -- Exchange ---------------------------------------------------------------------------------- */

#define STATE Exchange

static PyMemberDef exchange_members[] = {
    EXCHANGE_FIELDS(OBJECT_MEMBER, NUMBER_MEMBER, FLAG_MEMBER){NULL, 0, 0, 0, NULL},
};

static int
traverse_exchange(PyObject *object, visitproc visit, void *arg)
{
    Exchange *state = EXCHANGE(object);
    EXCHANGE_FIELDS(VISIT, NO_FIELD, NO_FIELD)
    return 0;
}

static int
clear_exchange(PyObject *object)
{
    Exchange *state = EXCHANGE(object);
    EXCHANGE_FIELDS(CLEAR, NO_FIELD, NO_FIELD)
    return 0;
}

static void
dealloc_exchange(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    clear_exchange(object);
    Py_TYPE(object)->tp_free(object);
}

static PyTypeObject exchange_type = STATE_TYPE("Exchange", Exchange, exchange);

#undef STATE

/* -- Loop -------------------------------------------------------------------------------------- */

#define STATE Loop

static PyMemberDef loop_members[] = {
    LOOP_FIELDS(OBJECT_MEMBER, NUMBER_MEMBER, FLAG_MEMBER){NULL, 0, 0, 0, NULL},
};

static int
traverse_loop(PyObject *object, visitproc visit, void *arg)
{
    Loop *state = LOOP(object);
    LOOP_FIELDS(VISIT, NO_FIELD, NO_FIELD)
    return 0;
}

static int
clear_loop(PyObject *object)
{
    Loop *state = LOOP(object);
    LOOP_FIELDS(CLEAR, NO_FIELD, NO_FIELD)
    return 0;
}

static void
dealloc_loop(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    clear_loop(object);
    Py_TYPE(object)->tp_free(object);
}

static PyTypeObject loop_type = STATE_TYPE("Loop", Loop, loop);

#undef STATE
/* -- the module -------------------------------------------------------------------------------- */

extern PyMethodDef freezing[]; /* freezing.c */

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_doc = "What serving threads write on.",
    .m_size = -1,          .m_methods = freezing,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    PyTypeObject *types[] = {&connection_type, &exchange_type, &loop_type};
    PyObject *module = PyModule_Create(&definition);
    for (size_t at = 0; module != NULL && at < sizeof(types) / sizeof(*types); at++) {
        if (PyModule_AddType(module, types[at]) < 0) {
            Py_CLEAR(module);
        }
    }
    return module;
}
