"""Members of zip archives as streams that never hold more than they are asked for.

zipfile bounds only what it inflates: of the others it unpacks all that comes out of a piece of
input, and 4 KiB of bzip2 may be 4 GB of zeros. Their decompressors can stop at a length, so they
are called here.
"""

import bz2
import importlib
import lzma
import struct
import zipfile
import zlib
from typing import IO, Any, Protocol, runtime_checkable

# Python 3.14 and later read it, and numpy.load with them.
ZIP_ZSTANDARD: int | None = getattr(zipfile, "ZIP_ZSTANDARD", None)
zstd: Any = importlib.import_module("compression.zstd") if ZIP_ZSTANDARD else None
ZstdError: type[Exception] = zstd.ZstdError if zstd else zlib.error
# What reading a damaged or unusual archive raises; RuntimeError: encrypted, or of a later version.
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, ZstdError, struct.error),
    *(OSError, EOFError, RuntimeError, ValueError, OverflowError),
)
LOCAL_HEADER = 30  # bytes before the name; the last two numbers are the lengths of name and extra
ENCRYPTED, END_MARKED = 1, 2  # bits of a member's flags
LZMA_MEMORY = 1 << 28  # bytes for a dictionary, which a header may claim to be 4 GiB
PIECE = 1 << 12  # bytes of input at a time


@runtime_checkable
class Decompressor(Protocol):
    """What bz2, lzma and zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class BoundedMember:
    """A compressed member, read in pieces of at most the wanted length, with its CRC checked."""

    def __init__(self, file: IO[bytes], member: zipfile.ZipInfo) -> None:
        """Finds the member's data in the archive `file`."""
        if member.flag_bits & ENCRYPTED:
            raise RuntimeError("encrypted")
        file.seek(member.header_offset)
        name, extra = struct.unpack("<HH", file.read(LOCAL_HEADER)[-4:])
        file.seek(name + extra, 1)
        self.file, self.left = file, member.compress_size
        self.wanted_crc, self.crc = member.CRC, 0
        self.decompressor: Decompressor = bz2.BZ2Decompressor()
        if member.compress_type == zipfile.ZIP_LZMA:
            self.decompressor = self._lzma(member)
        if member.compress_type == ZIP_ZSTANDARD:
            self.decompressor = zstd.ZstdDecompressor()

    def read(self, size: int) -> bytes:
        """Returns up to `size` bytes, none at the end."""
        while not self.decompressor.eof:
            compressed = self._input(PIECE) if self.decompressor.needs_input else b""
            if not compressed and self.decompressor.needs_input:
                raise EOFError("the member is cut short")
            if content := self.decompressor.decompress(compressed, size):
                self.crc = zlib.crc32(content, self.crc)
                return content
        if self.crc != self.wanted_crc:
            raise zipfile.BadZipFile("its CRC is another")
        return b""

    def _input(self, size: int) -> bytes:
        content = self.file.read(min(size, self.left))
        self.left -= len(content)
        return content

    def _lzma(self, member: zipfile.ZipInfo) -> Decompressor:
        """Returns the decompressor of an LZMA member, of which the `.lzma` header is made up.

        In a zip archive stand a version, the size of the properties, and these; in a .lzma file
        stand the properties and the size of the content, -1 if its end is marked.
        """
        header = self._input(4)
        properties = self._input(struct.unpack("<HH", header)[1])
        size = -1 if member.flag_bits & END_MARKED else member.file_size
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY)
        decompressor.decompress(properties + struct.pack("<q", size), 0)
        return decompressor


def open_member(
    file: IO[bytes], archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> IO[bytes] | BoundedMember:
    """Opens a member of the archive that was opened from `file`.

    Raises:
      NotImplementedError: if it is compressed in another way than numpy.load can read.
    """
    if member.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, ZIP_ZSTANDARD):
        return BoundedMember(file, member)
    return archive.open(member)
