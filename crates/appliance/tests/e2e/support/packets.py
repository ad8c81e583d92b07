"""TCP connections as packets of a pcap, as tcpdump records them."""

import struct

RAW_IP = 101
SYN, RST, PSH, ACK, FIN = 2, 4, 8, 16, 1
# Segments of loopback may be larger; these are of a size that every link takes.
SEGMENT_SIZE = 1400


class Pcap:
    """Collects packets; `ms` counts on with each of them unless a test sets it."""

    def __init__(self, ms: int = 1_000):
        self.ms = ms
        self._records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, RAW_IP)]

    def add(self, packet: bytes) -> None:
        stamp = (self.ms // 1000, self.ms % 1000 * 1000)
        self._records.append(struct.pack("<IIII", *stamp, len(packet), len(packet)) + packet)
        self.ms += 1

    def bytes(self) -> bytes:
        return b"".join(self._records)


class Talk:
    """One connection; `client` and `server` are (address, port), the address in numbers."""

    def __init__(self, pcap: Pcap, client=((10, 0, 0, 1), 40_000), server=((10, 0, 0, 2), 80)):
        self._pcap = pcap
        self._ends = {"to_server": (client, server), "to_client": (server, client)}
        self._sequences = {"to_server": 1_000, "to_client": 2_000}
        self._packet("to_server", SYN)
        self._packet("to_client", SYN | ACK)

    def say(self, direction: str, payload: bytes) -> None:
        for at in range(0, len(payload), SEGMENT_SIZE):
            self._packet(direction, PSH | ACK, payload[at : at + SEGMENT_SIZE])

    def end(self) -> None:
        self._packet("to_server", FIN | ACK)
        self._packet("to_client", FIN | ACK)

    def _packet(self, direction: str, flags: int, payload: bytes = b"") -> None:
        (source, source_port), (target, target_port) = self._ends[direction]
        tcp = struct.pack(">HHIIBBHHH", source_port, target_port, self._sequences[direction], 0, 5 << 4, flags, 512, 0, 0)
        size = 20 + len(tcp) + len(payload)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 6, 0, bytes(source), bytes(target))
        self._pcap.add(ip + tcp + payload)
        self._sequences[direction] += len(payload) + bool(flags & (SYN | FIN))
