"""The C side of the Python module: the structs and calls of coreanalyze.h, and the library.

The users' module is coreanalyze.py. What is here follows the header: a struct that changes there
changes here, and tests/integration/test_python.py compares their sizes.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import (
    CFUNCTYPE, POINTER, Structure, c_bool, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32,
    c_uint64, c_void_p,
)
from typing import List, Optional

# The interface this file was written for: major and minor of ca_version().
VERSION = (0, 1)

UNKNOWN = -(2**63)
REGS_MAX = 34

class LibraryError(Exception):
    """The library is missing, or is of another version than this module."""


# ---- the structs of coreanalyze.h, in its order ------------------------------------------------


class Error(Structure):
    _fields_ = [("code", c_int), ("has_address", c_bool), ("address", c_uint64),
                ("message", c_char_p)]


PROGRESS = CFUNCTYPE(c_bool, c_void_p, c_char_p, c_uint64, c_uint64)
SINK = CFUNCTYPE(c_bool, c_void_p, c_void_p, c_size_t)


class Options(Structure):
    _fields_ = [
        ("size", c_size_t), ("exe", c_char_p), ("sysroot", c_char_p), ("debug_binary", c_char_p),
        ("runtime_files", POINTER(c_char_p)), ("rules", c_char_p), ("own", POINTER(c_char_p)),
        ("threshold", c_int64), ("min_age_ns", c_int64), ("force", c_bool), ("no_proof", c_bool),
        ("no_stop", c_bool), ("progress", PROGRESS), ("progress_arg", c_void_p),
        ("hold", c_bool), ("check", c_char_p),
        ("copy_limit", c_int64),
    ]


class Regs(Structure):
    _fields_ = [("value", c_uint64 * REGS_MAX), ("known", c_uint64)]


READ = CFUNCTYPE(c_bool, c_void_p, c_uint64, c_void_p, c_size_t)
THREAD = CFUNCTYPE(c_bool, c_void_p, c_size_t, POINTER(c_int64), POINTER(Regs),
                    POINTER(c_uint64), POINTER(c_char * 16))
MAPPING = CFUNCTYPE(c_bool, c_void_p, c_size_t, POINTER(c_uint64), POINTER(c_uint64),
                     POINTER(c_uint64), POINTER(c_uint32), POINTER(c_char_p))

VECTORS = CFUNCTYPE(c_bool, c_void_p, c_size_t, POINTER(c_void_p), POINTER(c_size_t))


class Ops(Structure):
    _fields_ = [
        ("size", c_size_t), ("read", READ), ("thread", THREAD), ("mapping", MAPPING),
        ("arch", c_char_p), ("path", c_char_p), ("executable", c_char_p), ("pid", c_int64),
        ("now_ns", c_int64), ("wall_ns", c_int64), ("vectors", VECTORS),
    ]


class FrameInfo(Structure):
    _fields_ = [("pc", c_uint64), ("sp", c_uint64), ("function", c_char_p), ("file", c_char_p),
                ("line", c_int64), ("inlined", c_bool), ("runtime", c_bool)]


class SiteInfo(Structure):
    _fields_ = [("function", c_char_p), ("file", c_char_p), ("line", c_int64)]


class CaseInfo(Structure):
    _fields_ = [("direction", c_char_p), ("address", c_uint64), ("capacity", c_int64),
                ("length", c_int64), ("closed", c_int), ("senders", c_int64),
                ("receivers", c_int64)]


class WaitInfo(Structure):
    _fields_ = [("kind", c_char_p), ("has_address", c_bool), ("channel", CaseInfo),
                ("cases", POINTER(CaseInfo)), ("case_count", c_size_t), ("owner", c_char * 48),
                ("waiters", c_int64), ("counter", c_int64), ("fd", c_int64),
                ("deadline_ns", c_int64)]


class LabelInfo(Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class TaskInfo(Structure):
    _fields_ = [
        ("id", c_char * 48), ("address", c_uint64), ("runtime", c_char_p), ("name", c_char_p),
        ("state", c_char_p), ("reason", c_char_p), ("since_ns", c_int64), ("verdict", c_char_p),
        ("rule", c_char_p), ("proof", c_char_p), ("waiting_for", WaitInfo), ("entry", SiteInfo),
        ("created", SiteInfo), ("created_by", c_char * 48), ("known_from", c_char_p),
        ("thread", c_int64), ("stack_low", c_uint64), ("stack_high", c_uint64),
        ("frames", POINTER(FrameInfo)), ("frame_count", c_size_t),
        ("labels", POINTER(LabelInfo)), ("label_count", c_size_t),
        ("notes", POINTER(c_char_p)), ("note_count", c_size_t), ("group", c_size_t),
    ]


class LocalInfo(Structure):
    _fields_ = [("name", c_char_p), ("type", c_char_p), ("value", c_char_p), ("why", c_char_p),
                ("argument", c_bool)]


class ExportOptions(Structure):
    _fields_ = [("size", c_size_t), ("verdict", c_char_p), ("group", c_char_p),
                ("overwrite", c_bool)]


class Request(Structure):
    _fields_ = [
        ("command", c_char_p), ("argument", c_char_p), ("json", c_bool), ("sort", c_char_p),
        ("verdict", c_char_p), ("limit", c_int64), ("group", c_bool), ("full", c_bool),
        ("locals", c_bool), ("fail_on_suspect", c_bool), ("strict", c_bool), ("colour", c_bool),
        ("width", c_int), ("target_words", c_char_p), ("debugger", c_bool), ("group_of", c_char_p),
    ]


class CommandLine(Structure):
    _fields_ = [("request", Request), ("options", Options), ("target", c_char_p),
                ("pid", c_int64), ("check", c_char_p), ("help", c_bool), ("version", c_bool)]


class OptionInfo(Structure):
    _fields_ = [("name", c_char_p), ("argument", c_char_p), ("values", c_char_p),
                ("commands", c_char_p), ("debugger", c_bool)]


DOOR_DEBUGGER = 1


_SIGNATURES = {
    "ca_error_destroy": (None, [POINTER(Error)]),
    "ca_session_open_core": (POINTER(Error), [c_char_p, POINTER(Options), POINTER(c_void_p)]),
    "ca_session_attach": (POINTER(Error), [c_int64, POINTER(Options), POINTER(c_void_p)]),
    "ca_session_from_ops": (POINTER(Error),
                            [POINTER(Ops), c_void_p, POINTER(Options), POINTER(c_void_p)]),
    "ca_session_destroy": (None, [c_void_p]),
    "ca_session_task_count": (c_size_t, [c_void_p]),
    "ca_session_task": (POINTER(Error), [c_void_p, c_size_t, POINTER(TaskInfo)]),
    "ca_session_find_task": (POINTER(Error), [c_void_p, c_char_p, POINTER(c_size_t)]),
    "ca_session_task_id": (None, [c_void_p, c_size_t, POINTER(c_char * 48)]),
    "ca_session_frame_regs": (POINTER(Error), [c_void_p, c_size_t, c_size_t, POINTER(Regs)]),
    "ca_session_locals": (POINTER(Error), [c_void_p, c_size_t, c_size_t,
                                            POINTER(POINTER(LocalInfo)), POINTER(c_size_t)]),
    "ca_session_export_core": (POINTER(Error), [c_void_p, c_char_p, POINTER(ExportOptions),
                                                 POINTER(c_size_t)]),
    "ca_session_write": (POINTER(Error), [c_void_p, POINTER(Request), SINK, c_void_p,
                                           POINTER(c_int)]),
    "ca_request_parse": (POINTER(Error), [c_int, POINTER(c_char_p), c_int,
                                           POINTER(POINTER(CommandLine))]),
    "ca_command_line_destroy": (None, [POINTER(CommandLine)]),
    "ca_option": (c_bool, [c_size_t, POINTER(OptionInfo)]),
}


# ---- the library -------------------------------------------------------------------------------

_HERE = os.path.dirname(os.path.realpath(__file__))
_NAME = "libcoreanalyze.so"


def _candidates() -> List[str]:
    asked = os.environ.get("COREANALYZE_LIB")
    if asked:
        return [asked]
    checkout = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "build", _NAME)
    # Installed, this file is in PREFIX/share/coreanalyze/python.
    prefix = os.path.dirname(os.path.dirname(os.path.dirname(_HERE)))
    return [checkout, os.path.join(prefix, "lib", _NAME), _NAME, f"{_NAME}.{VERSION[0]}"]


def _dlopen() -> ctypes.CDLL:
    tried = []
    for path in _candidates():
        if os.sep in path and not os.path.exists(path):
            tried.append(f"{path}: not there")
            continue
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            tried.append(str(error))
    raise LibraryError(
        "coreanalyze: libcoreanalyze.so could not be loaded. Run `make` in the checkout, or "
        "`make install`, or set COREANALYZE_LIB to the library.\n  " + "\n  ".join(tried))


def _check_version(lib: ctypes.CDLL) -> None:
    wanted = ".".join(map(str, VERSION))
    remedy = "build both from one checkout (`make`, `make install`)"
    try:
        lib.ca_version.restype = c_char_p
        found = lib.ca_version().decode()
    except AttributeError:
        raise LibraryError(f"coreanalyze: {lib._name} is not libcoreanalyze; {remedy}") from None
    if tuple(found.split(".")[:2]) != tuple(map(str, VERSION)):
        raise LibraryError(f"coreanalyze: {lib._name} is version {found}, this Python module is "
                           f"for {wanted}; {remedy}")


_library: Optional[ctypes.CDLL] = None


def library() -> ctypes.CDLL:
    """The loaded library. Raises LibraryError, which says what to build."""
    global _library
    if _library is None:
        lib = _dlopen()
        _check_version(lib)
        for name, (result, arguments) in _SIGNATURES.items():
            try:
                function = getattr(lib, name)
            except AttributeError:
                raise LibraryError(f"coreanalyze: {lib._name} has no {name}: it is older than this "
                                   "Python module; run `make` again") from None
            function.restype, function.argtypes = result, arguments
        _library = lib
    return _library
