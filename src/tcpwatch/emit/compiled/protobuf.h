/* What a message of protobuf is made of: bytes that grow, varints, fixed64 and texts.
 *
 * What writes returns where the next byte stands.
 */

#ifndef TCPWATCH_PROTOBUF_H
#define TCPWATCH_PROTOBUF_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <string.h>

/* -- bytes that grow --------------------------------------------------------------------------- */

typedef struct {
    unsigned char *at;
    size_t size, room;
    unsigned char first[2048]; /* enough for most spans */
} Bytes;

static inline void
begin(Bytes *bytes)
{
    bytes->at = bytes->first;
    bytes->size = 0;
    bytes->room = sizeof bytes->first;
}

static inline void
end(Bytes *bytes)
{
    if (bytes->at != bytes->first) {
        PyMem_Free(bytes->at);
    }
}

/* Return where to write so many bytes more, NULL and an exception if there is no memory. */
static inline unsigned char *
more(Bytes *bytes, size_t count)
{
    if (bytes->room - bytes->size < count) {
        size_t room = 2 * bytes->room + count;
        unsigned char *at = PyMem_Malloc(room);
        if (at == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        memcpy(at, bytes->at, bytes->size);
        end(bytes);
        bytes->at = at;
        bytes->room = room;
    }
    unsigned char *here = bytes->at + bytes->size;
    bytes->size += count;
    return here;
}

/* -- protobuf ---------------------------------------------------------------------------------- */

static inline size_t
size_of_varint(uint64_t value)
{
    size_t size = 1;
    while (value > 0x7F) {
        value >>= 7;
        size++;
    }
    return size;
}

static inline unsigned char *
varint(unsigned char *here, uint64_t value)
{
    while (value > 0x7F) {
        *here++ = (value & 0x7F) | 0x80;
        value >>= 7;
    }
    *here++ = value;
    return here;
}

static inline unsigned char *
fixed64(unsigned char *here, uint64_t value)
{
    for (int byte = 0; byte < 8; byte++) {
        *here++ = value >> 8 * byte;
    }
    return here;
}

static inline unsigned char *
big_endian(unsigned char *here, uint64_t value)
{
    for (int byte = 7; byte >= 0; byte--) {
        *here++ = value >> 8 * byte;
    }
    return here;
}

static inline unsigned char *
bytes(unsigned char *here, const char *given, size_t size)
{
    memcpy(here, given, size);
    return here + size;
}

static inline unsigned char *
text(unsigned char *here, int tag, const char *given, size_t size)
{
    *here++ = tag;
    return bytes(varint(here, size), given, size);
}

static inline size_t
size_of_text(size_t size)
{
    return 1 + size_of_varint(size) + size;
}

#endif
