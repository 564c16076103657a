/* The exporter's side in C: what Python has given it, the slots of its objects, and its rooms.
 *
 * What is not known here is left to Python, before anything was changed.
 */

#ifndef TCPWATCH_EMIT_COMPILED_H
#define TCPWATCH_EMIT_COMPILED_H

#include "../../core/compiled/slots.h"

/* clang-format off */
#define CONNECTION_SLOTS(SLOT) SLOT(accepted) SLOT(flags) SLOT(marks) SLOT(stage) SLOT(trace_state)
#define EXCHANGE_SLOTS(SLOT)                                                                       \
    SLOT(fields) SLOT(head_ns) SLOT(release) SLOT(sequence) SLOT(span) SLOT(span_facts)

/* Classes, functions, dictionaries and constants. */
#define GIVEN(THING)                                                                               \
    THING(Carried) THING(Connection) THING(Context) THING(Exchange) THING(Ids)                     \
    THING(RequestSpan) THING(partial) THING(current_context) THING(detach) THING(getrandbits)      \
    THING(post_values) THING(propagate_values) THING(raw_items) THING(key_of_span) THING(APP) THING(SAMPLED_MARK)

#define WORDS(WORD)                                                                                \
    WORD(_HTTP_TEXT_FORMAT) WORD(_become) WORD(_fields) WORD(_headers) WORD(_propagator)           \
    WORD(_value_) WORD(encoded) WORD(groups) WORD(home) WORD(in_child) WORD(instrument) WORD(is_straight) WORD(lower)       \
    WORD(names) WORD(raw_items) WORD(usual)
/* clang-format on */

extern struct slots {
    struct {
        CONNECTION_SLOTS(OFFSET)
    } connection;
    struct {
        EXCHANGE_SLOTS(OFFSET)
    } exchange;
} slots;

extern struct given {
    GIVEN(DECLARE)
    PyObject *sixty_four, *nothing;
    long trace_id_at, span_id_at;
} given;

extern struct words {
    WORDS(DECLARE)
} words;

#define CONNECTION(object, name) AT(object, slots.connection.name)
#define EXCHANGE(object, name) AT(object, slots.exchange.name)

/* What `RequestSpans.usual` holds, borrowed; `bound` is below which a trace id is sampled. */
typedef struct {
    PyObject *tracing, *peers, *starter, *bound;
} Usual;

/* packing.c */
PyObject *pack(PyObject *module, PyObject *finished);
PyObject *packed(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* usual.c */
int read_usual(PyObject *known, Usual *usual);
int is_usual(PyObject *const *args, const Usual *usual, PyObject **head_fields);

/* starting.c */
PyObject *began(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
