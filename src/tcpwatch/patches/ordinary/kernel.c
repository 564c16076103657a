/* What the kernel is asked: kernel/reader.py has the same questions, and what its answers mean. */

#include "ordinary.h"

#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* Of struct tcp_info as much as is wanted: the kernel fills in so much. */
#define UP_TO(field) (offsetof(struct tcp_info, field) + sizeof(__u32))

/* All of what Linux 6.18 has to tell; the headers here may be older. */
#define SIZE 280
#define TCP_STATE_LISTEN 10

/* The kernel's id of a connection, in hex, or None: as Kernel.cookie(). */
PyObject *
cookie(int descriptor)
{
    unsigned long long number;
    socklen_t size = sizeof(number);
    if (getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &number, &size) < 0) {
        Py_RETURN_NONE;
    }
    char text[2 * sizeof(number) + 1]; /* PyUnicode_FromFormat() has no %llx before Python 3.12 */
    snprintf(text, sizeof(text), "%llx", number);
    return PyUnicode_FromString(text);
}

/* Return a socket's descriptor; -1 without an exception if it has none. */
static int
descriptor_of(PyObject *sock)
{
    PyObject *number = PyObject_CallMethodNoArgs(sock, words.fileno);
    long descriptor = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    PyErr_Clear();
    return descriptor < INT_MAX ? (int)descriptor : -1;
}

/* Read so much of a socket's TCP_INFO. Return its descriptor, or -1 if it is closed or the kernel
 * has less to tell.
 */
static int
read_info(PyObject *sock, struct tcp_info *told, socklen_t size)
{
    socklen_t filled = size;
    int descriptor = descriptor_of(sock);
    if (descriptor < 0) {
        return -1;
    }
    int failed = getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, told, &filled) < 0;
    return failed || filled < size ? -1 : descriptor;
}

/* Read what is told of an accepted connection. Return its descriptor, or -1. */
int
read_accepted(PyObject *sock, struct tcp_info *told)
{
    return read_info(sock, told, UP_TO(tcpi_total_retrans));
}

/* Read what is told of a listener: tcpi_unacked is the depth of its queue and tcpi_sacked the limit
 * (tcp_get_info()). Return whether it is one.
 */
int
read_listener(PyObject *sock, struct tcp_info *told)
{
    return read_info(sock, told, UP_TO(tcpi_sacked)) >= 0 && told->tcpi_state == TCP_STATE_LISTEN;
}

/* Kernel.ending: what the kernel has of a connection; NULL without an exception if too little. */
PyObject *
ending_of(PyObject *sock)
{
    char told[SIZE];
    socklen_t size = SIZE;
    int descriptor = descriptor_of(sock);
    if (descriptor < 0 || getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, told, &size) < 0 ||
        size < (socklen_t)numbers.TELLING_SIZE) {
        return NULL;
    }
    return PyBytes_FromStringAndSize(told, size);
}
