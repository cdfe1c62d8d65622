import struct
import uuid

import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.certificates import pem_to_der
from thim.amd import cert_table
from thim.amd.authorities import KeyKind
from thim.amd.cert_table import CertEntry, CertTable
from thim.errors import MalformedError


VCEK = bytes.fromhex("63da758de6644564adc5f4b93be8accd")
VLEK = bytes.fromhex("a8074bc2a25a483eaae639c045a0b8a1")
ASK = bytes.fromhex("4ab7b379bbac4fe4a02f05aef327c782")
OTHER = bytes(range(16))
END = bytes(24)

entries = st.builds(
    CertEntry,
    guid=st.uuids().filter(lambda guid: guid.int),
    data=st.binary(min_size=1, max_size=40),
)
tables = st.builds(
    CertTable,
    entries=st.lists(entries, max_size=8, unique_by=lambda e: e.guid).map(
        tuple
    ),
)


def entry(guid, at, size):
    """
    Write an entry by hand.
    """
    return guid + struct.pack("<II", at, size)


def refused(raw, match):
    """
    Check that *raw* is refused, in words that *match*.
    """
    with pytest.raises(MalformedError, match=match) as e:
        CertTable.from_bytes(raw)

    assert "cert-table" == e.value.reason


class TestFromBytes:
    def test_entries(self):
        """
        Each entry points to its bytes, counted from the table's start; their
        order is their own.
        """
        raw = entry(VCEK, 74, 2) + entry(ASK, 72, 2) + END + b"abcd"

        table = CertTable.from_bytes(raw)

        assert (
            CertEntry(guid=cert_table.VCEK, data=b"cd"),
            CertEntry(guid=cert_table.ASK, data=b"ab"),
        ) == table.entries

    @pytest.mark.parametrize("raw", [b"", END, END + b"rest"])
    def test_empty(self, raw):
        """
        A host may have nothing to offer.
        """
        assert () == CertTable.from_bytes(raw).entries

    def test_gaps(self):
        """
        Bytes that no entry points to do not matter.
        """
        raw = entry(VCEK, 49, 1) + END + b"abc"

        assert b"b" == CertTable.from_bytes(raw).find(cert_table.VCEK)

    @pytest.mark.parametrize("size", [1, 23])
    def test_cut_off(self, size):
        """
        A table without its last entry has no end.
        """
        refused(END[:size], "without an entry of zeros")
        refused(entry(VCEK, 24, 1) + END[:size], "without an entry of zeros")

    def test_zero_guid(self):
        """
        The last entry is zeros in all its bytes.
        """
        refused(entry(bytes(16), 48, 1) + END + b"a", "is zero")

    @pytest.mark.parametrize("at", [0, 24, 47])
    def test_in_the_table(self, at):
        """
        No entry points into the table itself.
        """
        refused(
            entry(VCEK, at, 1) + END + b"a",
            f"{cert_table.VCEK} is at {at} to {at + 1}, expected within 48 ",
        )

    @pytest.mark.parametrize(
        ("at", "size"),
        [
            (48, 2),
            (49, 1),
            (48, 0xFFFFFFFF),
            (0xFFFFFFFF, 1),
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0xFFFFFFF0, 0x00000041),
        ],
    )
    def test_behind_its_end(self, at, size):
        """
        Nor behind the end, however large its numbers are.
        """
        refused(
            entry(VCEK, at, size) + END + b"a",
            f"at {at} to {at + size}, expected within 48 to 49",
        )

    @pytest.mark.parametrize(("at", "size"), [(74, 2), (72, 2), (72, 4)])
    def test_overlap(self, at, size):
        """
        Two entries share no byte, in whatever order they stand.
        """
        one, other = entry(VCEK, 73, 2), entry(ASK, at, size)

        refused(one + other + END + b"abcd", "share bytes")
        refused(other + one + END + b"abcd", "share bytes")

    def test_side_by_side(self):
        """
        One may begin where the other ends.
        """
        raw = entry(VCEK, 73, 1) + entry(ASK, 72, 1) + END + b"ab"

        assert b"b" == CertTable.from_bytes(raw).find(cert_table.VCEK)

    def test_twice(self):
        """
        With two of a kind there is no telling which one counts.
        """
        refused(
            entry(VCEK, 72, 1) + entry(VCEK, 73, 1) + END + b"ab", "there twice"
        )

    def test_nothing_in_it(self):
        """
        An entry points to something.
        """
        refused(entry(VCEK, 48, 0) + END, "is empty")

    def test_size(self):
        """
        A table that no host would send is not read.
        """
        refused(END.ljust(65537, b"\0"), "65537 bytes, expected at most 65536")

    def test_greatest_size(self):
        """
        One of 64 KiB is.
        """
        raw = entry(VCEK, 48, 65536 - 48) + END

        table = CertTable.from_bytes(raw.ljust(65536, b"a"))

        assert (65536 - 48) * b"a" == table.find(cert_table.VCEK)

    @given(st.binary(max_size=120))
    def test_anything(self, raw):
        """
        Whatever comes, it is refused by name or read.
        """
        try:
            CertTable.from_bytes(raw)
        except MalformedError as e:
            reason = e.reason
        else:
            reason = "cert-table"
        assert "cert-table" == reason


class TestToBytes:
    def test_layout(self):
        """
        The entries come first, then what they point to.
        """
        table = CertTable(
            entries=(
                CertEntry(guid=cert_table.VLEK, data=b"abc"),
                CertEntry(guid=cert_table.ASK, data=b"d"),
            )
        )

        assert (
            entry(VLEK, 72, 3) + entry(ASK, 75, 1) + END + b"abcd"
            == table.to_bytes()
        )

    @given(tables)
    def test_round_trip(self, table):
        """
        What is written is read back.
        """
        assert table == CertTable.from_bytes(table.to_bytes())


class TestFind:
    def test_by_signing_key(self):
        """
        Of a VCEK and a VLEK the one counts whose kind signed the report, not
        the first.
        """
        raw = entry(VLEK, 72, 1) + entry(VCEK, 73, 1) + END + b"ab"
        table = CertTable.from_bytes(raw)

        assert b"a" == table.find_leaf(KeyKind.VLEK)
        assert b"b" == table.find_leaf(KeyKind.VCEK)

    def test_other_kind(self):
        """
        The other kind is no substitute.
        """
        table = CertTable.from_bytes(entry(VLEK, 48, 1) + END + b"a")

        assert table.find_leaf(KeyKind.VCEK) is None

    def test_unknown(self):
        """
        GUIDs that mean nothing here are ignored, and named.
        """
        raw = entry(OTHER, 72, 1) + entry(ASK, 73, 1) + END + b"ab"
        table = CertTable.from_bytes(raw)

        assert (uuid.UUID(bytes=OTHER),) == table.unknown
        assert b"b" == table.find(cert_table.ASK)

    @pytest.mark.parametrize(
        ("guid", "text"),
        [
            (cert_table.VCEK, "63da758d-e664-4564-adc5-f4b93be8accd"),
            (cert_table.VLEK, "a8074bc2-a25a-483e-aae6-39c045a0b8a1"),
            (cert_table.ASK, "4ab7b379-bbac-4fe4-a02f-05aef327c782"),
            (cert_table.ARK, "c0b406a4-a803-4952-9743-3fb6014cd0ae"),
            (cert_table.CRL, "92f81bc3-5811-4d3d-97ff-d19f88dc67ea"),
            (cert_table.PLATFORM, "ecae0c0f-9502-43b1-afa2-0ae2e0d565b6"),
        ],
    )
    def test_guids(self, guid, text):
        """
        Each kind of content has its GUID.
        """
        table = CertTable(entries=(CertEntry(guid=guid, data=b"a"),))

        assert text == str(guid)
        assert () == table.unknown


class TestCorpus:
    def test_certificates(self, corpus):
        """
        A host's table of real certificates gives them back as they are.
        """
        vcek, ask, ark = (
            pem_to_der(corpus / "amd" / name)
            for name in (
                "vcek/milan-vcek-20230124-34309875.pem",
                "ca/milan-ask.pem",
                "ca/milan-ark.pem",
            )
        )
        raw = CertTable(
            entries=(
                CertEntry(guid=cert_table.ARK, data=ark),
                CertEntry(guid=cert_table.ASK, data=ask),
                CertEntry(guid=cert_table.VCEK, data=vcek),
            )
        ).to_bytes()

        table = CertTable.from_bytes(raw.ljust(16384, b"\0"))

        assert vcek == table.find_leaf(KeyKind.VCEK)
        assert ask == table.find(cert_table.ASK)
