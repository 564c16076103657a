/* The exporter's side in C: what Python has given it, the slots of its objects, and its rooms.
 *
 * What is not known here is left to Python, before anything was changed.
 */

#ifndef TCPWATCH_EMIT_COMPILED_H
#define TCPWATCH_EMIT_COMPILED_H

#include "../../hub/compiled/states.h"

/* clang-format off */
#define LOOK_SLOTS(SLOT) SLOT(_layers) SLOT(_set) SLOT(_sizes) SLOT(instrumented)
#define POST_SLOTS(SLOT) SLOT(in_child)
#define TIMELINE_SLOTS(SLOT)                                                                       \
    SLOT(accepted) SLOT(ending) SLOT(error) SLOT(outcome) SLOT(requests) SLOT(since_ns)            \
    SLOT(start_ns)

/* What requests.py gives, and histograms.py: classes, functions, dictionaries and constants. */
#define OF_REQUESTS(THING)                                                                         \
    THING(Carried) THING(Connection) THING(Context) THING(Exchange) THING(Ids) THING(Look)         \
    THING(Post) THING(RequestSpan) THING(partial) THING(current_context) THING(detach)             \
    THING(getrandbits) THING(post) THING(propagate_values) THING(raw_items) THING(key_of_span)     \
    THING(SAMPLED_MARK)

#define OF_HISTOGRAMS(THING)                                                                       \
    THING(Accepted) THING(Exchanged) THING(Leg) THING(RequestRecord) THING(Timeline)               \
    THING(LABELS) THING(read_path)

#define NUMBERS_OF_REQUESTS(NUMBER) NUMBER(APP) NUMBER(SPAN_ID) NUMBER(TRACE_ID)

/* Places in tuples. */
#define NUMBERS_OF_HISTOGRAMS(NUMBER)                                                              \
    NUMBER(COURSE) NUMBER(DEPTH) NUMBER(END) NUMBER(EXCHANGED_AT) NUMBER(FIRST) NUMBER(LEG)        \
    NUMBER(START) NUMBER(TIMES)

#define TWINS(TWIN) TWIN(told)

#define WORDS(WORD)                                                                                \
    WORD(_HTTP_TEXT_FORMAT) WORD(_become) WORD(_fields) WORD(_headers) WORD(_looked_at)            \
    WORD(_propagator) WORD(_value_) WORD(encoded) WORD(groups) WORD(home) WORD(instrument)         \
    WORD(is_straight) WORD(lower) WORD(names) WORD(raw_items) WORD(usual)
/* clang-format on */

extern struct slots {
    struct {
        LOOK_SLOTS(OFFSET)
    } look;
    struct {
        POST_SLOTS(OFFSET)
    } post;
    struct {
        TIMELINE_SLOTS(OFFSET)
    } timeline;
} slots;

extern struct given {
    OF_REQUESTS(DECLARE)
    OF_HISTOGRAMS(DECLARE)
    PyObject *sixty_four, *nothing;
} given;

extern struct numbers {
    NUMBERS_OF_REQUESTS(DECLARE_NUMBER)
    NUMBERS_OF_HISTOGRAMS(DECLARE_NUMBER)
} numbers;

extern struct in_python {
    TWINS(DECLARE)
} in_python;

TWINS(PROTOTYPE)

/* What of the key of a row's page is the connection's, and how many labels a request may have. */
enum { KEY_OF_LIFE = 5, MOST_LABELS = 16 };

extern struct words {
    WORDS(DECLARE)
} words;

#define LOOK(object, name) AT(object, slots.look.name)
#define TIMELINE(object, name) AT(object, slots.timeline.name)
#define POST(name) AT(given.post, slots.post.name)

/* What `usual` of emit/requests.py holds, borrowed; `bound` is below which a trace id is sampled.
 */
typedef struct {
    PyObject *tracing, *peers, *starter, *bound;
} Usual;

/* packing.c */
PyObject *pack(PyObject *module, PyObject *finished);
PyObject *packed(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* usual.c */
int read_usual(PyObject *known, Usual *usual);
int is_ours(const Usual *usual, PyObject *app);
int is_usual(PyObject *const *args, const Usual *usual, PyObject **head_fields);

/* starting.c */
PyObject *began(PyObject *module, PyObject *const *args, Py_ssize_t count);

#endif
