"""
Just enough DER to take a structure apart and put it together otherwise.
"""


def children(der: bytes) -> list[bytes]:
    """
    Split the constructed value *der* into the values in it.
    """
    content = der[_header_size(der) :]
    parts = []
    while content:
        size = _header_size(content) + _length(content)
        parts.append(content[:size])
        content = content[size:]
    return parts


def sequence(*parts: bytes) -> bytes:
    """
    Make a SEQUENCE of *parts*.
    """
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([0x30, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x30, 0x80 | len(length)]) + length + content


def _header_size(der: bytes) -> int:
    return 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)


def _length(der: bytes) -> int:
    if der[1] & 0x80:
        return int.from_bytes(der[2 : _header_size(der)], "big")
    return der[1]
