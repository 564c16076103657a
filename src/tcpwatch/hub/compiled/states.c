/* The classes whose fields states.h lists, and nothing else: no methods, no dictionary. */

#include "states.h"

#define OBJECT_MEMBER(name) {#name, T_OBJECT_EX, offsetof(State, name), 0, NULL},
#define NUMBER_MEMBER(name) {#name, T_LONGLONG, offsetof(State, name), 0, NULL},
#define FLAG_MEMBER(name) {#name, T_BOOL, offsetof(State, name), 0, NULL},
#define VISIT(name) Py_VISIT(((State *)object)->name);
#define CLEAR(name) Py_CLEAR(((State *)object)->name);

/* One class; `State` is it while its fields are listed. */
#define STATE(cls, FIELDS)                                                                         \
    static int traverse_##cls(PyObject *object, visitproc visit, void *arg)                        \
    {                                                                                              \
        typedef cls State;                                                                         \
        FIELDS(VISIT, NO_FIELD, NO_FIELD)                                                          \
        return 0;                                                                                  \
    }                                                                                              \
    static int clear_##cls(PyObject *object)                                                       \
    {                                                                                              \
        typedef cls State;                                                                         \
        FIELDS(CLEAR, NO_FIELD, NO_FIELD)                                                          \
        return 0;                                                                                  \
    }                                                                                              \
    static void dealloc_##cls(PyObject *object)                                                    \
    {                                                                                              \
        PyObject_GC_UnTrack(object);                                                               \
        clear_##cls(object);                                                                       \
        Py_TYPE(object)->tp_free(object);                                                          \
    }                                                                                              \
    static PyTypeObject *type_of_##cls(void)                                                       \
    {                                                                                              \
        typedef cls State;                                                                         \
        static PyMemberDef members[] = {                                                           \
            FIELDS(OBJECT_MEMBER, NUMBER_MEMBER, FLAG_MEMBER){NULL, 0, 0, 0, NULL},                \
        };                                                                                         \
        static PyTypeObject type = {                                                               \
            PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tcpwatch.hub.compiled." #cls,                \
            .tp_basicsize = sizeof(cls),                                                           \
            .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,             \
            .tp_new = PyType_GenericNew,                                                           \
            .tp_traverse = traverse_##cls,                                                         \
            .tp_clear = clear_##cls,                                                               \
            .tp_dealloc = dealloc_##cls,                                                           \
            .tp_members = members,                                                                 \
        };                                                                                         \
        return &type;                                                                              \
    }

STATE(Connection, CONNECTION_FIELDS)
STATE(Exchange, EXCHANGE_FIELDS)
STATE(Loop, LOOP_FIELDS)

/* -- the module -------------------------------------------------------------------------------- */

extern PyMethodDef freezing[]; /* freezing.c */

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_doc = "What serving threads write on.",
    .m_size = -1,          .m_methods = freezing,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    PyTypeObject *types[] = {type_of_Connection(), type_of_Exchange(), type_of_Loop()};
    PyObject *module = PyModule_Create(&definition);
    for (size_t at = 0; module != NULL && at < sizeof(types) / sizeof(*types); at++) {
        if (PyModule_AddType(module, types[at]) < 0) {
            Py_CLEAR(module);
        }
    }
    return module;
}
