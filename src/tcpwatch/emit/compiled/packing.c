/* A span as bytes of OTLP's protobuf message: what emit/encoding.py does, for the spans of most
 * connections. Whatever else a span has (a tracestate, values that are neither text nor number) is
 * left to Python, which says what is right; so is what protobuf cannot carry.
 */

#include "compiled.h"
#include "protobuf.h"

/* What FinishedSpan has, in its order. */
enum { NAME, IDS, PARENT, TIMES, ATTRIBUTES, KIND, LINKS, FAILED, TRACE_STATE, FIELDS };

/* -- attributes -------------------------------------------------------------------------------- */

/* An AnyValue: one of a text, a number of 64 bits, a double, a truth. */
typedef struct {
    int tag;
    const char *text;
    Py_ssize_t length;
    uint64_t number;
    size_t size;
} Value;

enum { STRING = 0x0A, BOOL = 0x10, INT = 0x18, DOUBLE = 0x21 };

/* Read a value. 1 if it is one, 0 if it is left to Python. */
static int
read_value(PyObject *object, Value *value)
{
    if (PyUnicode_CheckExact(object)) {
        value->tag = STRING;
        value->text = PyUnicode_AsUTF8AndSize(object, &value->length);
        value->size = value->text == NULL ? 0 : size_of_text(value->length);
        return value->text != NULL;
    }
    if (PyFloat_CheckExact(object)) {
        double number = PyFloat_AS_DOUBLE(object);
        value->tag = DOUBLE;
        memcpy(&value->number, &number, sizeof number);
        value->size = 9;
        return 1;
    }
    if (PyLong_CheckExact(object)) {
        int beyond;
        value->tag = INT;
        value->number = PyLong_AsLongLongAndOverflow(object, &beyond);
        value->size = 1 + size_of_varint(value->number);
        return !beyond;
    }
    value->tag = BOOL;
    value->number = object == Py_True;
    value->size = 2;
    return PyBool_Check(object);
}

static unsigned char *
write_value(unsigned char *here, const Value *value)
{
    if (value->tag == STRING) {
        return text(here, STRING, value->text, value->length);
    }
    *here++ = value->tag;
    return value->tag == DOUBLE ? fixed64(here, value->number) : varint(here, value->number);
}

/* A KeyValue as field 9 of its span. 1 if it was written, 0 if it is left to Python. */
static int
attribute(Bytes *span, PyObject *name, PyObject *object)
{
    Value value;
    Py_ssize_t length;
    const char *key = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &length) : NULL;
    if (key == NULL || !read_value(object, &value)) {
        return 0;
    }
    size_t size = size_of_text(length) + size_of_text(value.size);
    unsigned char *here = more(span, size_of_text(size));
    if (here == NULL) {
        return 0;
    }
    *here++ = 0x4A;
    here = text(varint(here, size), 0x0A, key, length);
    *here++ = 0x12;
    write_value(varint(here, value.size), &value);
    return 1;
}

/* The attributes of a group: its names and, in their order, their values. */
static int
group(Bytes *span, PyObject *pair)
{
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
        return 0;
    }
    PyObject *names = PyObject_GetAttr(PyTuple_GET_ITEM(pair, 0), words.names);
    PyObject *values = PyTuple_GET_ITEM(pair, 1);
    int done = names != NULL && PyTuple_CheckExact(names) && PyTuple_CheckExact(values) &&
               PyTuple_GET_SIZE(names) == PyTuple_GET_SIZE(values);
    for (Py_ssize_t at = 0; done && at < PyTuple_GET_SIZE(names); at++) {
        PyObject *value = PyTuple_GET_ITEM(values, at);
        done = value == Py_None || attribute(span, PyTuple_GET_ITEM(names, at), value);
    }
    Py_XDECREF(names);
    return done;
}

/* Those of a `Grouped`. */
static int
attributes(Bytes *span, PyObject *grouped)
{
    PyObject *groups = PyObject_GetAttr(grouped, words.groups);
    int done = groups != NULL && PyList_CheckExact(groups);
    for (Py_ssize_t at = 0; done && at < PyList_GET_SIZE(groups); at++) {
        done = group(span, PyList_GET_ITEM(groups, at));
    }
    Py_XDECREF(groups);
    return done;
}

/* -- the span ---------------------------------------------------------------------------------- */

/* A number of 64 bits, of a pair. */
static int
read_half(PyObject *pair, Py_ssize_t at, uint64_t *number)
{
    *number = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(pair, at));
    return !PyErr_Occurred();
}

static int
is_pair(PyObject *object)
{
    return PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == 2 &&
           PyLong_CheckExact(PyTuple_GET_ITEM(object, 0));
}

/* Trace id and span id, as fields 1 and 2 of a span and of a link. */
static unsigned char *
ids(unsigned char *here, PyObject *pair)
{
    uint64_t span_id;
    if (!is_pair(pair) || !read_half(pair, 1, &span_id)) {
        return NULL;
    }
    PyObject *trace_id = PyTuple_GET_ITEM(pair, 0);
    PyObject *rest = PyNumber_Rshift(trace_id, given.sixty_four);
    uint64_t high = rest == NULL ? 0 : PyLong_AsUnsignedLongLong(rest);
    uint64_t low = PyLong_AsUnsignedLongLongMask(trace_id);
    Py_XDECREF(rest);
    if (PyErr_Occurred()) {
        return NULL;
    }
    *here++ = 0x0A;
    *here++ = 16;
    here = big_endian(big_endian(here, high), low);
    *here++ = 0x12;
    *here++ = 8;
    return big_endian(here, span_id);
}

#define IDS_SIZE 28

/* What stands before a span's attributes. */
static int
head(Bytes *span, PyObject *finished, int kind)
{
    PyObject *name = PyTuple_GET_ITEM(finished, NAME), *times = PyTuple_GET_ITEM(finished, TIMES);
    PyObject *parent = PyTuple_GET_ITEM(finished, PARENT);
    Py_ssize_t length;
    uint64_t started, ended, parent_id;
    const char *called = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &length) : NULL;
    if (called == NULL || !is_pair(times) || !is_pair(parent) || !read_half(times, 0, &started) ||
        !read_half(times, 1, &ended) || !read_half(parent, 0, &parent_id)) {
        return 0;
    }
    unsigned char *here =
        more(span, IDS_SIZE + (parent_id ? 10 : 0) + (length ? size_of_text(length) : 0) + 20);
    here = here == NULL ? NULL : ids(here, PyTuple_GET_ITEM(finished, IDS));
    if (here == NULL) {
        return 0;
    }
    if (parent_id) {
        *here++ = 0x22;
        *here++ = 8;
        here = big_endian(here, parent_id);
    }
    if (length) {
        here = text(here, 0x2A, called, length);
    }
    *here++ = 0x30;
    *here++ = kind;
    *here++ = 0x39;
    here = fixed64(here, started);
    *here++ = 0x41;
    fixed64(here, ended);
    return 1;
}

static int
link_to(Bytes *span, PyObject *pair)
{
    unsigned char *here = more(span, 2 + IDS_SIZE + 5);
    if (here == NULL) {
        return 0;
    }
    here = ids(bytes(here, "\x6A\x21", 2), pair);
    if (here != NULL) {
        bytes(here, "\x35\x00\x01\x00\x00", 5); /* SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK */
    }
    return here != NULL;
}

/* Links, status and flags: what stands after them. */
static int
tail(Bytes *span, PyObject *finished)
{
    PyObject *links = PyTuple_GET_ITEM(finished, LINKS);
    if (PyList_CheckExact(links)) {
        for (Py_ssize_t at = 0; at < PyList_GET_SIZE(links); at++) {
            if (!link_to(span, PyList_GET_ITEM(links, at))) {
                return 0;
            }
        }
    } else if (!PyTuple_CheckExact(links) || PyTuple_GET_SIZE(links)) {
        return 0;
    }
    int failed = PyTuple_GET_ITEM(finished, FAILED) == Py_True;
    int remote = PyTuple_GET_ITEM(PyTuple_GET_ITEM(finished, PARENT), 1) == Py_True;
    unsigned char *here = more(span, (failed ? 4 : 2) + 6);
    if (here != NULL) {
        here = failed ? bytes(here, "\x7A\x02\x18\x02", 4) : bytes(here, "\x7A\x00", 2);
        /* and, of a remote parent, SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK */
        bytes(here, remote ? "\x85\x01\x00\x03\x00\x00" : "\x85\x01\x00\x01\x00\x00", 6);
    }
    return here != NULL;
}

/* Return a span as field 2 of its ScopeSpans. */
static PyObject *
sealed(const Bytes *span)
{
    PyObject *message = PyBytes_FromStringAndSize(NULL, size_of_text(span->size));
    if (message != NULL) {
        text((unsigned char *)PyBytes_AS_STRING(message), 0x12, (char *)span->at, span->size);
    }
    return message;
}

/* The protocol's number of a SpanKind, which is one more than the API's; 0 if it is none of ours.
 */
static int
kind_of(PyObject *finished)
{
    PyObject *number = PyObject_GetAttr(PyTuple_GET_ITEM(finished, KIND), words._value_);
    long kind = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    return kind == 0 || kind == 1 ? kind + 1 : 0;
}

/* pack(finished) -> bytes | None */
PyObject *
pack(PyObject *module, PyObject *finished)
{
    if (!PyTuple_Check(finished) || PyTuple_GET_SIZE(finished) != FIELDS) {
        PyErr_SetString(PyExc_TypeError, "expected the fields of a FinishedSpan");
        return NULL;
    }
    PyObject *state = PyTuple_GET_ITEM(finished, TRACE_STATE), *message = NULL;
    Bytes span;
    begin(&span);
    int kind = PyTuple_CheckExact(state) && !PyTuple_GET_SIZE(state) ? kind_of(finished) : 0;
    if (kind && head(&span, finished, kind) &&
        attributes(&span, PyTuple_GET_ITEM(finished, ATTRIBUTES)) && tail(&span, finished)) {
        message = sealed(&span);
    } else if (!PyErr_Occurred() || !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
        message = Py_NewRef(Py_None);
    }
    end(&span);
    return message;
}

/* A LateSpan, of which nothing but the message is kept. */
static PyObject *
late_span(PyObject *cls, PyObject *home, PyObject *message)
{
    PyObject *made = ((PyTypeObject *)cls)->tp_new((PyTypeObject *)cls, given.nothing, NULL);
    if (made != NULL && (PyObject_SetAttr(made, words.home, home) < 0 ||
                         PyObject_SetAttr(made, words.encoded, message) < 0)) {
        Py_CLEAR(made);
    }
    return made;
}

/* packed(spans, home, LateSpan) -> list | None: None if one of them is left to Python */
PyObject *
packed(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyTuple_Check(args[0]) || !PyType_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "packed() takes a tuple of spans, their home, a class");
        return NULL;
    }
    PyObject *spans = args[0], *found = PyList_New(0);
    for (Py_ssize_t at = 0; found != NULL && at < PyTuple_GET_SIZE(spans); at++) {
        PyObject *message = pack(module, PyTuple_GET_ITEM(spans, at));
        if (message == Py_None) {
            Py_DECREF(found);
            return message;
        }
        PyObject *late = message == NULL ? NULL : late_span(args[2], args[1], message);
        Py_XDECREF(message);
        if (late == NULL || PyList_Append(found, late) < 0) {
            Py_CLEAR(found);
        }
        Py_XDECREF(late);
    }
    return found;
}
