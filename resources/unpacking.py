"""The body of an answer unpacked in pieces of a bounded size, so that a few bytes never fill the memory at once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import httpx

ACCEPTED: Final = "gzip, deflate"  # what a server may pack an answer with
PIECE: Final = 1 << 20  # bytes

_GZIP: Final = zlib.MAX_WBITS | 16


def pieces(response: httpx.Response) -> Iterator[bytes]:
    """The body piece by piece, unpacked once. Raises httpx.DecodingError where it is packed more than once, or badly."""
    packed = [word.strip().lower() for word in response.headers.get("content-encoding", "").split(",")]
    packed = [word for word in packed if word not in ("", "identity")]
    if len(packed) > 1:
        raise httpx.DecodingError(f"it is packed {len(packed)} times: {', '.join(packed)[:60]}")
    stream = response.stream
    assert isinstance(stream, httpx.SyncByteStream)
    if packed and packed[0] in ("gzip", "deflate"):
        return _unpacked(stream, packed[0])
    return iter(stream)


def _unpacked(stream: httpx.SyncByteStream, how: str) -> Iterator[bytes]:
    inflate = zlib.decompressobj(_GZIP if how == "gzip" else zlib.MAX_WBITS)
    begun = False
    try:
        for part in stream:
            while part and not inflate.eof:
                try:
                    yield inflate.decompress(part, PIECE)
                except zlib.error:
                    if begun or how == "gzip":
                        raise
                    inflate = zlib.decompressobj(-zlib.MAX_WBITS)  # some send deflate without its head
                    yield inflate.decompress(part, PIECE)
                begun, part = True, inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from None
    if begun and not inflate.eof:
        raise httpx.DecodingError("it is cut off")
