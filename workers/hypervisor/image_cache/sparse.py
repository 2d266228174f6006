"""Writing without filling holes: what is zero in an image takes no room on the host."""

import os

#: Pieces that are left out if they are zero. Holes of less would cost more than they save.
_PIECE = 64 * 1024
_ZEROS = bytes(_PIECE)


def write_sparsely(file: int, data: bytes, offset: int) -> None:
    """Write the data at the offset, and leave pieces of zeros out; the file is as long after it as
    if they had been written."""
    view, done = memoryview(data), 0
    while done < len(view):
        # Pieces begin at multiples of their size, as the file system's blocks do.
        length = _PIECE - (offset + done) % _PIECE
        piece = view[done : done + length]
        if piece != _ZEROS[: len(piece)]:
            _write(file, piece, offset + done)
        done += len(piece)
    end = offset + len(view)
    if os.fstat(file).st_size < end:
        os.ftruncate(file, end)


def _write(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
