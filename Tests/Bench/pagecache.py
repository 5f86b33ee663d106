"""What the kernel keeps of files in memory: dropping it, reading it in, and seeing whether it is there."""

import ctypes
import mmap
import os

from processes import BenchError

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
LIBC.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
BLOCK = 1 << 20
# As much of what was dropped may be there after all: a page that somebody holds at the moment.
LEFT_OVER = 0.02


def drop(paths: list[str]) -> None:
    """Forget the content of these files, and of no others: the next read of each comes from the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            # What is not on the disk yet would stay.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    if (share := resident_share(paths)) > LEFT_OVER:
        raise BenchError(f"{share:.0%} of {len(paths)} files stay in memory: reads of them are not cold")


def warm(paths: list[str]) -> int:
    """Read these files once, so that all of them is in memory; their bytes."""
    total, block = 0, bytearray(BLOCK)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(block):
                total += count
    return total


def resident_share(paths: list[str]) -> float:
    """How much of these files is in memory."""
    there = total = 0
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            pages = resident(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        there, total = there + sum(byte & 1 for byte in pages), total + len(pages)
    return there / total if total else 0


def resident(descriptor: int, length: int) -> bytes:
    """One byte for each page of a file, odd when it is in memory (mincore(2))."""
    if length == 0:
        return b""
    address = LIBC.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    if address == ctypes.c_void_p(-1).value:
        raise BenchError(f"mmap: {os.strerror(ctypes.get_errno())}")
    try:
        pages = ctypes.create_string_buffer((length + mmap.PAGESIZE - 1) // mmap.PAGESIZE)
        if LIBC.mincore(address, length, pages) != 0:
            raise BenchError(f"mincore: {os.strerror(ctypes.get_errno())}")
        return pages.raw
    finally:
        LIBC.munmap(address, length)
