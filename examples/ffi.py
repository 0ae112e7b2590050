#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Events from a language without C's preprocessor: the low-level interface through ctypes.

    tracebuf record -o trace -- python3 ffi.py; tracebuf view trace
"""
import ctypes
import os
import struct

INTEGER, FLOAT, STRING, SEQUENCE = 1, 2, 3, 4      # enum tracebuf_field_type
SIGNED, HEX = 1, 2                                 # enum tracebuf_field_flags
DEBUG_LINE = 13


class Field(ctypes.Structure):
    """struct tracebuf_field_description"""
    _fields_ = [("name", ctypes.c_char_p), ("type", ctypes.c_uint32), ("size", ctypes.c_uint32),
                ("flags", ctypes.c_uint32), ("reserved", ctypes.c_uint32)]


def load():
    library = ctypes.CDLL(os.environ.get("TRACEBUF_LIBRARY", "libtracebuf.so.0"))
    library.tracebuf_alloc.restype = ctypes.c_void_p
    library.tracebuf_free.argtypes = [ctypes.c_void_p]
    library.tracebuf_free.restype = None
    library.tracebuf_event_describe.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Field),
                                                ctypes.c_uint, ctypes.c_uint]
    library.tracebuf_event_is_enabled.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.tracebuf_event_write.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    library.tracebuf_event_write.restype = None
    return library


class Event:
    """An event: its description, and how its payload is packed."""

    def __init__(self, library, handle, name, *fields):
        self.library, self.handle, self.fields = library, handle, fields
        described = (Field * len(fields))(*fields)
        self.id = library.tracebuf_event_describe(handle, name.encode(), described, len(fields), DEBUG_LINE)

    def __call__(self, *values):
        if not self.library.tracebuf_event_is_enabled(self.handle, self.id):
            return
        payload = b"".join(pack(field, value) for field, value in zip(self.fields, values))
        self.library.tracebuf_event_write(self.handle, self.id, payload, len(payload))


def number(field):
    """How struct packs one number of a field."""
    if field.type == FLOAT:
        return {4: "<f", 8: "<d"}[field.size]
    letter = {1: "b", 2: "h", 4: "i", 8: "q"}[field.size]
    return "<" + (letter if field.flags & SIGNED else letter.upper())


def pack(field, value):
    if field.type == STRING:
        return value.encode().split(b"\0")[0] + b"\0"
    if field.type == SEQUENCE:
        return struct.pack("<I", len(value)) + b"".join(struct.pack(number(field), element) for element in value)
    return struct.pack(number(field), value)


def main():
    library = load()
    handle = library.tracebuf_alloc()
    step = Event(library, handle, "python:step", Field(b"number", INTEGER, 4, SIGNED), Field(b"root", FLOAT, 8),
                 Field(b"text", STRING), Field(b"digits", SEQUENCE, 1))
    for i in range(100):
        step(i, i ** 0.5, f"step {i}", [int(digit) for digit in str(i)])
    print("recorded" if library.tracebuf_event_is_enabled(handle, step.id) else "nobody listens")
    library.tracebuf_free(handle)


if __name__ == "__main__":
    main()
