/* The core in C: what Python has given it, and the slots of its objects.
 *
 * Each function is the twin of one in Python, which says what is right. What it does not know it
 * leaves to that one, before it has changed anything.
 */

#ifndef TCPWATCH_COMPILED_H
#define TCPWATCH_COMPILED_H

#include "twins.h"

/* clang-format off */
#define COURSE_SLOTS(SLOT)                                                                         \
    SLOT(anomalies) SLOT(before_tls) SLOT(last) SLOT(phase) SLOT(said) SLOT(since)                 \
    SLOT(speaks_http) SLOT(steps)

#define TIMELINE_SLOTS(SLOT)                                                                       \
    SLOT(_before_tls) SLOT(_dropped_phases) SLOT(_exchange) SLOT(_intervals) SLOT(_legs)           \
    SLOT(_read_closing) SLOT(_read_end) SLOT(_signs) SLOT(accepted) SLOT(accepted_ns) SLOT(count)  \
    SLOT(dispatch) SLOT(ending) SLOT(flags) SLOT(key) SLOT(last_ns) SLOT(outcome) SLOT(phase)      \
    SLOT(requests) SLOT(requests_exported) SLOT(sequence) SLOT(server_errors) SLOT(since_ns)       \
    SLOT(start_ns) SLOT(trace_state)

/* What course.py gives, and timeline.py: classes, tables, functions and texts. */
#define OF_COURSES(THING) THING(Course) THING(Interval) THING(Leg)

#define OF_TIMELINES(THING)                                                                        \
    THING(Accepted) THING(Exchanged) THING(RequestRecord) THING(Timeline) THING(courses)           \
    THING(course_of) THING(conclude) THING(notes) THING(refused) THING(COMPLETED) THING(OVER)      \
    THING(DRAIN)

/* Kinds of marks, places in tuples, and a limit. */
#define NUMBERS(NUMBER)                                                                            \
    NUMBER(HANDLER_BEGAN) NUMBER(EXCHANGE_ENDED) NUMBER(CLOSED) NUMBER(SAMPLED)                    \
    NUMBER(MOST_INTERVALS) NUMBER(EXCHANGED) NUMBER(WAIT) NUMBER(FLAGS) NUMBER(REFUSED)            \
    NUMBER(STATUS) NUMBER(STATE) NUMBER(TCP_CLOSE)

#define TWINS(TWIN) TWIN(add_up) TWIN(add_spent) TWIN(intervals_of) TWIN(begun) TWIN(feed)
/* clang-format on */

extern struct slots {
    struct {
        COURSE_SLOTS(OFFSET)
    } course;
    struct {
        TIMELINE_SLOTS(OFFSET)
    } timeline;
} slots;

extern struct given {
    OF_COURSES(DECLARE)
    OF_TIMELINES(DECLARE)
    PyObject *blank_timeline;
} given;

extern struct numbers {
    NUMBERS(DECLARE_NUMBER)
} numbers;

extern struct in_python {
    TWINS(DECLARE)
} in_python;

TWINS(PROTOTYPE)

#define COURSE(object, name) AT(object, slots.course.name)
#define TIMELINE(object, name) AT(object, slots.timeline.name)

typedef long long Nanoseconds;

/* What a mark, a leg, a step and a mark that says something consist of. */
#define MARK 3
enum { COURSE_OF, TIMES, REQUESTS, FIRST, LEG };
enum { PHASE, START, END, REQUEST, STEP };
enum { KIND, PAYLOAD, TIME, LEFT, SINCE, BEGAN, SAID };

/* Marks on their way: where they lead, and the times of that. */
typedef struct {
    PyObject *marks, *course, *times;
    int first;
    Nanoseconds last;
} Fed;

/* Return a new NamedTuple of a class with as many fields, which are yet to be filled in. */
static inline PyObject *
blank_tuple(PyObject *cls, Py_ssize_t size)
{
    return ((PyTypeObject *)cls)->tp_alloc((PyTypeObject *)cls, size);
}

/* A NamedTuple of a tuple that has its fields. */
static inline PyObject *
named(PyObject *cls, PyObject *fields)
{
    PyObject *made = blank_tuple(cls, PyTuple_GET_SIZE(fields));
    for (Py_ssize_t at = 0; made != NULL && at < PyTuple_GET_SIZE(fields); at++) {
        PyTuple_SET_ITEM(made, at, Py_NewRef(PyTuple_GET_ITEM(fields, at)));
    }
    return made;
}

static inline int
add_to(PyObject **slot, long more)
{
    return put(slot, PyLong_FromLong(PyLong_AsLong(*slot) + more));
}

/* notes.c */
int note_all(PyObject *timeline, const Fed *fed, PyObject *leg);

#endif
