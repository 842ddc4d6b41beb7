"""A ClientHello cut within its server name, so that a censor finds it in no one piece.

Two cuts, for two kinds of censor. One that reads packets and does not put TCP's stream
together again misses a name that lies in two segments. One that does, and reads one TLS
record, misses a name that lies in two records: a handshake message may be fragmented
(RFC 8446 section 5.1, which forbids empty fragments), and servers put it together.

The bytes of the message stay as they are: both ends hash them. All that changes is the
framing around them.
"""

from typing import Final

from probe.model.observation import HelloSplit

_HANDSHAKE_RECORD: Final = 22
_CHANGE_CIPHER_SPEC: Final = 20
_RECORD_HEADER_BYTES: Final = 5
_MESSAGE_HEADER_BYTES: Final = 4
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0


def split_hello(flight: bytes, split: HelloSplit | None) -> tuple[bytes, ...]:
    """Return what is to be written, one after another, instead of a client's flight.

    ``segments``: two writes, for two packets. ``records``: one write, in which the hello's
    record has become two. A flight without a ClientHello in plain text is returned
    as it is; the second hello, which answers a HelloRetryRequest, is one with.

    Two and not more: of three small writes in a row a kernel sends the first at once and
    may join the others (Linux: tcp_autocorking).

    Args:
        flight: TLS records, from the start of the first one.
        split: how; None leaves the flight alone.
    """
    if split is None:
        return (flight,)
    records = _hello_records(flight)
    message = b"".join(flight[at : at + size] for at, size in records)
    if not _is_hello(message):
        return (flight,)
    at, size, cut = _place(records, _cut(message))
    if split == "segments":
        return (flight[: at + cut], flight[at + cut :])
    if cut == 0:
        return (flight,)  # two records meet here already
    header_at = at - _RECORD_HEADER_BYTES
    head = flight[header_at : header_at + 3]  # type and version
    first = head + cut.to_bytes(2, "big") + flight[at : at + cut]
    second = head + (size - cut).to_bytes(2, "big") + flight[at + cut : at + size]
    return (flight[:header_at] + first + second + flight[at + size :],)


def _place(records: list[tuple[int, int]], offset: int) -> tuple[int, int, int]:
    """Return in which record (start, size) and how far into it a byte of the message is."""
    for at, size in records:
        if offset < size:
            return at, size, offset
        offset -= size
    raise AssertionError("the message is what the records hold")


def _hello_records(flight: bytes) -> list[tuple[int, int]]:
    """Return where the payloads of the first handshake records in a row are, and how long."""
    found: list[tuple[int, int]] = []
    at = 0
    while at + _RECORD_HEADER_BYTES <= len(flight):
        kind = flight[at]
        size = int.from_bytes(flight[at + 3 : at + 5], "big")
        at += _RECORD_HEADER_BYTES
        if at + size > len(flight) or size == 0:
            break
        if kind == _HANDSHAKE_RECORD:
            found.append((at, size))
        elif found or kind != _CHANGE_CIPHER_SPEC:
            # A second hello may come behind a change_cipher_spec (RFC 8446 section D.4).
            break
        at += size
    return found


def _is_hello(message: bytes) -> bool:
    length = int.from_bytes(message[1:_MESSAGE_HEADER_BYTES], "big")
    return message[:1] == bytes((_CLIENT_HELLO,)) and len(message) >= (
        _MESSAGE_HEADER_BYTES + max(length, 1)
    )


def _cut(message: bytes) -> int:
    """Return before which byte of the message to cut.

    A hello that names nobody is cut in the middle: who reads one piece sees half of it,
    whatever it is that he goes by, and no piece is so small that a server finds it odd.
    """
    name = server_name_at(message)
    return len(message) // 2 if name is None else name[0] + name_cut(message[slice(*name)])


def name_cut(name: bytes) -> int:
    """Return before which byte of a host name to cut, within the longer of its last two labels.

    Censors match names and suffixes (``*.telegram.org``). A cut in the middle of a long
    name would leave such a suffix whole behind it; any pattern that ends with the last
    two labels has this cut in it. A name of one byte has no inside: 0.
    """
    before, _, last = name.rstrip(b".").rpartition(b".")
    start = before.rfind(b".") + 1
    label = before[start:]
    if len(last) > len(label):
        start += len(label) + 1 if before else 0
        label = last
    cut = start + max(1, len(label) // 2)
    return max(0, min(cut, len(name) - 1))


def server_name_at(message: bytes) -> tuple[int, int] | None:
    """Return the start and end of the host name in a ClientHello (RFC 6066 section 3).

    None if there is none, or the message is not laid out as RFC 8446 section 4.1.2 has it.
    """
    at = _MESSAGE_HEADER_BYTES + 2 + 32  # version and random
    for prefix in (1, 2, 1):  # session id, cipher suites, compression methods
        at += prefix + int.from_bytes(message[at : at + prefix], "big")
    end = min(len(message), at + 2 + int.from_bytes(message[at : at + 2], "big"))
    at += 2
    while at + 4 <= end:
        kind = int.from_bytes(message[at : at + 2], "big")
        size = int.from_bytes(message[at + 2 : at + 4], "big")
        at += 4
        if kind == _SERVER_NAME:
            name_size = int.from_bytes(message[at + 3 : at + 5], "big")
            is_whole = 5 + name_size <= size and at + size <= end
            if is_whole and name_size and message[at + 2] == _HOST_NAME:
                return at + 5, at + 5 + name_size
            return None
        at += size
    return None
