"""WebSocket frames as bytes (RFC 6455 section 5.2), right or deliberately wrong."""

import os
import struct
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

RSV1, RSV2, RSV3 = 0x40, 0x20, 0x10


def xor_mask(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    stream = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(stream, "little")
    return mixed.to_bytes(size, "little")


class Framer:
    """Writes frames for one role: a client masks, a server does not."""

    def __init__(self, masked: bool):
        self.masked = masked

    def frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        masked: bool | None = None,
        length_bits: int | None = None,
        declared: int | None = None,
    ) -> bytes:
        """One frame. `length_bits` (7, 16, 64) forces a length form; `declared` lies about the length."""
        masked = self.masked if masked is None else masked
        size = len(payload) if declared is None else declared
        if length_bits is None:
            length_bits = 7 if size < 126 else 16 if size < 65536 else 64
        first = (0x80 if fin else 0) | rsv | opcode
        mask_bit = 0x80 if masked else 0
        if length_bits == 7:
            head = struct.pack("!BB", first, mask_bit | size)
        elif length_bits == 16:
            head = struct.pack("!BBH", first, mask_bit | 126, size)
        else:
            head = struct.pack("!BBQ", first, mask_bit | 127, size)
        if not masked:
            return head + payload
        key = os.urandom(4)
        return head + key + xor_mask(payload, key)

    def text(self, payload: bytes | str, **options) -> bytes:
        return self.frame(TEXT, as_bytes(payload), **options)

    def binary(self, payload: bytes, **options) -> bytes:
        return self.frame(BINARY, payload, **options)

    def more(self, payload: bytes | str, *, fin: bool, **options) -> bytes:
        return self.frame(CONTINUATION, as_bytes(payload), fin=fin, **options)

    def ping(self, payload: bytes = b"", **options) -> bytes:
        return self.frame(PING, payload, **options)

    def pong(self, payload: bytes = b"", **options) -> bytes:
        return self.frame(PONG, payload, **options)

    def close(self, code: int | None = None, reason: bytes = b"", **options) -> bytes:
        body = b"" if code is None else struct.pack("!H", code) + reason
        return self.frame(CLOSE, body, **options)

    def fragments(self, opcode: int, pieces: list[bytes]) -> bytes:
        """One message in as many frames as there are pieces."""
        last = len(pieces) - 1
        return b"".join(
            self.frame(opcode if i == 0 else CONTINUATION, piece, fin=i == last) for i, piece in enumerate(pieces)
        )


def as_bytes(payload: bytes | str) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload


@dataclass
class Frame:
    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Frame]:
        self.buffer += chunk
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> Frame | None:
        held = self.buffer
        if len(held) < 2:
            return None
        size, start = held[1] & 0x7F, 2
        if size == 126:
            if len(held) < 4:
                return None
            size, start = struct.unpack_from("!H", held, 2)[0], 4
        elif size == 127:
            if len(held) < 10:
                return None
            size, start = struct.unpack_from("!Q", held, 2)[0], 10
        masked = bool(held[1] & 0x80)
        key = bytes(held[start : start + 4]) if masked else b""
        start += 4 if masked else 0
        if len(held) < start + size:
            return None
        payload = bytes(held[start : start + size])
        frame = Frame(
            opcode=held[0] & 0x0F,
            payload=xor_mask(payload, key) if masked else payload,
            fin=bool(held[0] & 0x80),
            rsv=held[0] & 0x70,
            masked=masked,
        )
        del held[: start + size]
        return frame
