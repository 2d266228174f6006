"""The smallest programs that a PC boots: each says one thing on the serial port, and halts."""

from io import BytesIO

import pycdlib

#: Says what follows it, to the first zero, whatever segment the firmware has put it in.
_SAY = bytes.fromhex("e80000 5e 0e1f 83c614 ac 84c0 7406 baf803 ee ebf5 f4 ebfd")
_SECTOR_BYTES = 512


def boot_sector(text: str) -> bytes:
    """Return a disk's first sector that says the text."""
    code = _SAY + text.encode() + b"\r\n\0"
    return code.ljust(_SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"


def boot_disc(text: str) -> bytes:
    """Return an ISO image that boots (El Torito, without emulation) and says the text."""
    disc, content = pycdlib.PyCdlib(), boot_sector(text)
    disc.new(interchange_level=3)
    disc.add_fp(BytesIO(content), len(content), "/BOOT.;1")
    disc.add_eltorito("/BOOT.;1", bootcatfile="/BOOT.CAT;1", boot_load_size=1)
    written = BytesIO()
    disc.write_fp(written)
    disc.close()
    return written.getvalue()
