"""
The file of a bundle: what is written comes back, and nothing else does.
"""

import datetime
import hashlib
import io

from typing import Any

import msgspec
import pytest
import zstandard

from hypothesis import given
from hypothesis import strategies as st

from thim.collateral import bundle_file
from thim.collateral.bundle_file import read_parts, read_seal, write_file
from thim.collateral.bundle_keys import SecretKey
from thim.collateral.bundle_parts import (
    AuthorityPart,
    BundleHeader,
    ChannelPart,
    DocumentPart,
    EndorsementKeyPart,
    FileKind,
    PckPart,
    RequestHeader,
)
from thim.errors import MalformedError, ThimError, UntrustedError


KEY = SecretKey(bytes(range(32)))
NOW = datetime.datetime(2026, 11, 2, 9, tzinfo=datetime.UTC)
HEADER = BundleHeader(
    created=NOW, signer=KEY.public.raw, counter=7, program="thim 0"
)
PARTS = [
    AuthorityPart(der=b"a certificate"),
    DocumentPart(name="intel/tcb-info/sgx:0/3", body=b"{}" * 100),
    DocumentPart(name="intel/pck-crl/platform/0", body=b"0" * 50),
    ChannelPart(name="early", number=21, seen=NOW),
    PckPart(
        qe_id=bytes(16),
        pce_id=bytes(2),
        raw_tcbs=[bytes(18)],
        certificates=[b"1", b"2"],
    ),
    EndorsementKeyPart(der=b"a VCEK"),
]
#: Where in the file its first block begins: behind line, header and length.
MAGIC = b"thim-bundle 1\n"


def write(parts=PARTS, header=HEADER, key=KEY) -> bytes:
    """
    Write a bundle.
    """
    return b"".join(write_file(FileKind.BUNDLE, header, parts, key))


def seal_of(raw: bytes):
    """
    Read a file's seal.
    """
    return read_seal(io.BytesIO(raw).read)


def read(raw: bytes) -> list[Any]:
    """
    Read a file's parts.
    """
    blocks = read_parts(io.BytesIO(raw).read, seal_of(raw))
    return [part for block in blocks for part in block]


def frames(raw: bytes) -> list[bytes]:
    """
    Cut a file into its line, header, blocks, footer and signature.
    """
    found, at = [MAGIC], len(MAGIC)
    while at < len(raw) - 64:
        length = int.from_bytes(raw[at : at + 4])
        found.append(raw[at : at + 4 + length])
        at += 4 + length
    return [*found, raw[at:]]


def signed(content: bytes) -> bytes:
    """
    Sign what may be anything as its maker would have.
    """
    digest = hashlib.sha256(content).digest()
    return content + KEY.sign(bundle_file._SIGNED_AS + digest)


def with_block(block: bytes) -> bytes:
    """
    Make a file of one block, as it stands there.
    """
    return signed(
        MAGIC
        + b"".join(
            len(each).to_bytes(4) + each
            for each in (msgspec.json.encode(HEADER), block, b"")
        )
        + len(b'{"counts":{}}').to_bytes(4)
        + b'{"counts":{}}'
    )


FILE = write()


def test_round_trip():
    """What was written is read, in its order."""
    assert PARTS == read(FILE)


def test_seal():
    """The seal says whose it is, and how much there is of what."""
    seal = seal_of(FILE)

    assert HEADER == seal.header
    assert KEY.public == seal.signer
    assert {
        "authority": 1,
        "document": 2,
        "channel": 1,
        "pck": 1,
        "endorsement-key": 1,
    } == seal.counts


def test_deterministic():
    """Equal content makes equal bytes."""
    assert FILE == write()


def test_many_blocks():
    """What does not fit into one block goes into several."""
    parts = [DocumentPart(name=str(i), body=bytes(700_000)) for i in range(5)]

    raw = write(parts)

    assert parts == read(raw)
    assert len(frames(raw)) > len(frames(FILE))


def test_empty():
    """A bundle may be empty."""
    assert [] == read(write([]))


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_flipped(at, mask):
    """A changed byte is refused, wherever it is."""
    raw = bytearray(FILE)
    raw[at] ^= mask

    with pytest.raises(ThimError):
        seal_of(bytes(raw))


@given(st.integers(0, len(FILE) - 1))
def test_cut_off(size):
    """A file that is cut off is refused, wherever it is."""
    with pytest.raises(MalformedError):
        seal_of(FILE[:size])


@given(st.binary(min_size=1, max_size=100))
def test_appended(more):
    """What follows behind the signature is refused."""
    with pytest.raises(MalformedError, match="follows behind") as e:
        seal_of(FILE + more)
    assert "bundle-trailing" == e.value.reason


def test_moved():
    """Blocks in another order are refused, and so is one that comes twice."""
    parts = [DocumentPart(name=str(i), body=bytes(1_100_000)) for i in range(2)]
    line, header, one, other, *rest = frames(write(parts))

    for order in ((other, one), (one, one, other), (one,)):
        with pytest.raises(UntrustedError) as e:
            seal_of(b"".join([line, header, *order, *rest]))
        assert "bundle-signature" == e.value.reason


def test_foreign_signature():
    """A file that names another key than it is signed with is refused."""
    with pytest.raises(UntrustedError, match="is not that of the key"):
        seal_of(write(key=SecretKey(bytes(32))))


@given(st.binary(max_size=300))
def test_anything(raw):
    """Anything else is refused by one of our own errors."""
    for content in (raw, MAGIC + raw, signed(MAGIC + raw)):
        with pytest.raises(ThimError):
            seal_of(content)


def test_other_version():
    """A file of another version is refused, naming both."""
    raw = FILE.replace(b"thim-bundle 1\n", b"thim-bundle 2\n", 1)

    with pytest.raises(MalformedError, match=r"version 2, .* version 1$") as e:
        seal_of(raw)
    assert "bundle-version" == e.value.reason


YEAR_ONE = "0001-01-01T00:00:00+14:00"


def test_other_zone():
    """
    An instant in another zone than UTC is refused, as it may be in no year
    that there is.
    """
    created = msgspec.json.encode(HEADER).replace(
        b"2026-11-02T09:00:00Z", YEAR_ONE.encode()
    )
    header = len(created).to_bytes(4) + created

    with pytest.raises(MalformedError, match="created: expected an instant"):
        seal_of(signed(MAGIC + header))


@pytest.mark.parametrize(
    "fmspc", ["../../x", "00606a000000", "00606A00000000", "00606A000000\n"]
)
def test_no_fmspc(fmspc):
    """A request that wants what can be no FMSPC is refused as a whole."""
    header = RequestHeader(
        created=NOW, signer=KEY.public.raw, program="thim 0", fmspcs=[fmspc]
    )
    pieces = write_file(FileKind.REQUEST, header, [], KEY)

    with pytest.raises(MalformedError, match="header: ") as e:
        seal_of(b"".join(pieces))
    assert "bundle-format" == e.value.reason


def test_channel_of_other_zone():
    """So is one at which a channel was seen."""
    parts = [("channel", "early", 21, YEAR_ONE)]
    block = zstandard.compress(msgspec.msgpack.encode(parts))

    with pytest.raises(MalformedError, match="seen: expected an instant"):
        read(with_block(block))


def test_long_header():
    """A header beyond its limit is refused before it is read."""
    with pytest.raises(MalformedError, match="expected at most") as e:
        seal_of(MAGIC + b"\xff" * 4)
    assert "bundle-limit" == e.value.reason


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (zstandard.compress(bytes(64 * 1024 * 1024)), "bundle-limit"),
        (
            zstandard.ZstdCompressor(write_content_size=False).compress(b"1"),
            "bundle-limit",
        ),
        (b"no zstd", "bundle-format"),
        (zstandard.compress(b"\xc1"), "bundle-format"),
        (zstandard.compress(b"\x91\x92\xa5other\xa0"), "bundle-format"),
        (zstandard.compress(b"\x90") + b"more", "bundle-format"),
    ],
    ids=["bomb", "no-size", "no-zstd", "no-msgpack", "unknown", "more"],
)
def test_bad_block(block, reason):
    """What a signer packs badly is refused, and unpacked to a bound only."""
    with pytest.raises(MalformedError) as e:
        read(with_block(block))
    assert reason == e.value.reason


def test_counts():
    """A file that says of itself what is not in it is refused."""
    block = zstandard.compress(msgspec.msgpack.encode(PARTS[:1]))

    with pytest.raises(MalformedError, match="1 authority, and says nothing"):
        read(with_block(block))


def test_changed_meanwhile():
    """A file that is another when it is read again is refused."""
    other = write(PARTS[:-1])
    blocks = read_parts(io.BytesIO(other).read, seal_of(FILE))

    with pytest.raises(MalformedError) as e:
        list(blocks)
    assert "bundle-changed" == e.value.reason


def test_grown_meanwhile():
    """Of a file that has grown meanwhile no more is read than it had."""
    other = write([DocumentPart(name="1", body=bytes(1_000_000))] * 3)
    blocks = read_parts(io.BytesIO(other).read, seal_of(write([])))

    with pytest.raises(MalformedError) as e:
        next(blocks)
    assert "bundle-changed" == e.value.reason
