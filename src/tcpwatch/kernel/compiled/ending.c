/* The end of a connection, as kernel/tcp_info.py reads it out of the kernel's TCP_INFO. */

#include "../../core/compiled/twins.h"

#include <stdint.h>

/* clang-format off */
#define TWINS(TWIN) TWIN(read_closing) TWIN(read_end) TWIN(read_path)
#define NUMBERS(NUMBER)                                                                            \
    NUMBER(TELLING_SIZE) NUMBER(TIME_WAIT) NUMBER(CLOSE) NUMBER(CLOSE_WAIT) NUMBER(LAST_ACK)       \
    NUMBER(CLOSING)
/* clang-format on */

TWINS(PROTOTYPE)

static struct {
    TWINS(DECLARE)
} in_python;

static struct {
    PyObject *Closing;
} given;

static struct {
    NUMBERS(DECLARE_NUMBER)
} numbers;

/* Where the fields of struct tcp_info are (linux/tcp.h): a build's own headers may be older. */
enum {
    STATE = 0,
    RTT = 68,
    RTT_VAR = 72,
    TOTAL_RETRANS = 100,
    BYTES_ACKED = 120,
    BYTES_RECEIVED = 128,
    NOTSENT_BYTES = 144,
    MIN_RTT = 148,
    BUSY_TIME = 168,
    RWND_LIMITED = 176,
    SNDBUF_LIMITED = 184,
    BYTES_SENT = 200,
    BYTES_RETRANS = 208
};

#define NO_MIN_RTT UINT32_MAX
#define FIELDS 12

static uint32_t
u32(const char *told, int place)
{
    uint32_t number;
    memcpy(&number, told + place, sizeof(number));
    return number;
}

static uint64_t
u64(const char *told, int place)
{
    uint64_t number;
    memcpy(&number, told + place, sizeof(number));
    return number;
}

/* The structure, if it has all that a kernel of today tells; else NULL. */
static const char *
all_of(PyObject *told)
{
    int whole = PyBytes_CheckExact(told) && PyBytes_GET_SIZE(told) >= numbers.TELLING_SIZE;
    return whole ? PyBytes_AS_STRING(told) : NULL;
}

/* Bytes received; the kernel counts the peer's FIN as one. */
static uint64_t
received_of(const char *told)
{
    uint64_t received = u64(told, BYTES_RECEIVED);
    long state = (unsigned char)told[STATE];
    int with_fin = state == numbers.TIME_WAIT || state == numbers.CLOSE_WAIT ||
                   state == numbers.LAST_ACK || state == numbers.CLOSING;
    return received - (received > 0 && with_fin);
}

static PyObject *
number_or_none(uint32_t number, int is_known)
{
    return is_known ? PyLong_FromUnsignedLong(number) : Py_NewRef(Py_None);
}

PyObject *
read_end(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *told = count == 1 ? all_of(args[0]) : NULL;
    if (told == NULL || (unsigned char)told[STATE] == numbers.CLOSE) {
        LEAVE_TO_PYTHON(read_end);
    }
    return Py_BuildValue("iK", (unsigned char)told[STATE], (unsigned long long)received_of(told));
}

PyObject *
read_path(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *told = count == 1 ? all_of(args[0]) : NULL;
    if (told == NULL) {
        LEAVE_TO_PYTHON(read_path);
    }
    unsigned long long rtt_ns = u32(told, RTT) * 1000ULL;
    if (!rtt_ns) {
        return Py_BuildValue("OI", Py_None, u32(told, TOTAL_RETRANS));
    }
    return Py_BuildValue("KI", rtt_ns, u32(told, TOTAL_RETRANS));
}

/* Whether a structure has all, a state that says what it was, and numbers that can be subtracted.
 */
static int
is_plain(const char *told)
{
    uint64_t sent = u64(told, BYTES_SENT) | u64(told, BYTES_ACKED) | u64(told, BYTES_RETRANS);
    return (unsigned char)told[STATE] != numbers.CLOSE && sent < UINT64_C(1) << 62;
}

PyObject *
read_closing(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *told = count == 1 ? all_of(args[0]) : NULL;
    if (told == NULL || !is_plain(told)) {
        LEAVE_TO_PYTHON(read_closing);
    }
    int64_t sent = u64(told, BYTES_SENT), acked = u64(told, BYTES_ACKED);
    int64_t unacked = sent - (int64_t)u64(told, BYTES_RETRANS) - acked;
    if (unacked < 0) { /* our FIN counts as a byte, once it is acknowledged */
        acked--;
        unacked = 0;
    }
    uint32_t rtt = u32(told, RTT), min_rtt = u32(told, MIN_RTT);
    PyObject *fields[FIELDS] = {
        PyLong_FromLong((unsigned char)told[STATE]),
        number_or_none(rtt, rtt != 0),
        number_or_none(u32(told, RTT_VAR), rtt != 0),
        number_or_none(min_rtt, min_rtt != NO_MIN_RTT),
        PyLong_FromUnsignedLong(u32(told, TOTAL_RETRANS)),
        PyLong_FromUnsignedLongLong(received_of(told)),
        PyLong_FromLongLong(sent),
        PyLong_FromLongLong(acked),
        PyLong_FromLongLong(unacked + u32(told, NOTSENT_BYTES)),
        PyLong_FromUnsignedLongLong(u64(told, BUSY_TIME)),
        PyLong_FromUnsignedLongLong(u64(told, RWND_LIMITED)),
        PyLong_FromUnsignedLongLong(u64(told, SNDBUF_LIMITED)),
    };
    return tuple_of(given.Closing, fields, FIELDS);
}

/* -- the module -------------------------------------------------------------------------------- */

LEAVE(TWINS)

static PyObject *
connect_ending(PyObject *module, PyObject *things)
{
    TAKE(Closing)
    NUMBERS(TAKE_NUMBER)
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"connect_ending", connect_ending, METH_O, "Take what tcp_info.py has to give."},
    LEAVE_METHOD TWINS(TWIN_METHOD){NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_compiled", .m_doc = "What the kernel has told, in C.",
    .m_size = -1,          .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModule_Create(&definition);
}
