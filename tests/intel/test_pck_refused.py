import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.pck_parts import (
    BASE,
    CPUSVN,
    FMSPC,
    INSTANCE,
    PLATFORM,
    PPID,
    PROCESSOR,
    Parts,
    certificate,
    integer,
    octets,
    pair,
    refused,
    tlv,
)
from thim.errors import MalformedError
from thim.intel.pck import PckCertificate


class TestElements:
    @pytest.mark.parametrize("ca", [PROCESSOR, PLATFORM])
    @pytest.mark.parametrize("arc", [1, 3, 4, 5])
    def test_missing(self, ca, arc):
        """
        Each element must be there, and the message names the missing one.
        """
        parts = Parts(ca)
        del parts.top[arc - 1]
        count = len(parts.top)

        refused(
            parts,
            rf"^1\.2\.840\.113741\.1\.13\.1: {count} elements, expected "
            rf"{count + 1}: without \w+ \(1\.2\.840\.113741.*\.1\.{arc}\)$",
        )

    @pytest.mark.parametrize("i", [5, 6])
    def test_six(self, i):
        """
        Six elements are neither CA's.
        """
        parts = Parts()
        del parts.top[i]

        refused(parts, f"6 elements, expected 7: without .*{i + 1}")

    def test_five_by_the_platform_ca(self):
        """
        The platform CA leaves nothing out.
        """
        parts = Parts()
        del parts.top[5:]

        refused(parts, "5 elements, expected 7: without platform_instance_id")

    def test_seven_by_the_processor_ca(self):
        """
        The processor CA has no more to say than five elements.
        """
        parts = Parts()
        parts.ca = PROCESSOR

        refused(parts, r"unknown OID 1\.2\.840\.113741\.1\.13\.1\.6$")

    @pytest.mark.parametrize("arc", range(1, 19))
    def test_missing_in_tcb(self, arc):
        """
        The TCB has all of its 18 parts.
        """
        parts = Parts()
        del parts.tcb[arc - 1]

        refused(parts, rf"1\.2: 17 elements.*without .*1\.2\.{arc}\)$")

    @pytest.mark.parametrize("arc", [1, 2, 3])
    def test_missing_in_configuration(self, arc):
        """
        The configuration has all of its three flags.
        """
        parts = Parts()
        del parts.configuration[arc - 1]

        refused(parts, rf"1\.7: 2 elements.*without .*1\.7\.{arc}\)$")

    @pytest.mark.parametrize("group", ["top", "tcb", "configuration"])
    def test_twice(self, group):
        """
        No element may be there twice, be it in place of another one.
        """
        parts = Parts()
        pairs = getattr(parts, group)
        pairs[2] = pairs[0]

        refused(parts, r"(ppid|component 1|dynamic_platform) .*twice$")

    @pytest.mark.parametrize("group", ["top", "tcb", "configuration"])
    def test_once_more(self, group):
        """
        Nor besides all the others.
        """
        parts = Parts()
        getattr(parts, group).append(getattr(parts, group)[0])

        refused(parts, "twice$")

    @pytest.mark.parametrize(
        ("group", "arcs"),
        [
            ("top", [8]),
            ("top", [0]),
            ("tcb", [2, 0]),
            ("tcb", [2, 19]),
            ("configuration", [7, 4]),
        ],
    )
    def test_unknown(self, group, arcs):
        """
        An OID that nobody has heard of is refused, by its name.
        """
        parts = Parts()
        getattr(parts, group).append(pair(arcs, octets(b"")))

        spelled = r"\.".join(map(str, arcs))
        refused(parts, rf"unknown OID 1\.2\.840\.113741\.1\.13\.1\.{spelled}$")

    @pytest.mark.parametrize(
        ("group", "arcs"),
        [
            ("top", [2, 1]),
            ("top", []),
            ("tcb", [1]),
            ("tcb", [7, 1]),
            ("tcb", [2, 1, 1]),
            ("configuration", [2, 1]),
        ],
    )
    def test_elsewhere(self, group, arcs):
        """
        Neither does an OID count where it does not belong.
        """
        parts = Parts()
        getattr(parts, group).append(pair(arcs, integer(1)))

        refused(parts, "unknown OID of the octets '2a864886f8")

    def test_foreign(self):
        """
        So are OIDs of other people.
        """
        parts = Parts()
        foreign = BASE[:-2] + b"\x7f\1\1"
        parts.top[0] = tlv(0x30, tlv(6, foreign) + octets(PPID))

        refused(parts, "unknown OID of the octets")

    @pytest.mark.parametrize("group", ["top", "tcb", "configuration"])
    def test_not_a_pair(self, group):
        """
        An element that is no sequence is no pair.
        """
        parts = Parts()
        getattr(parts, group)[0] = octets(b"1")

        refused(parts, "an element has tag 04, expected 30")

    def test_not_a_pair_with_oid(self):
        """
        Nor is one that does not begin with an OID.
        """
        parts = Parts()
        parts.top[0] = tlv(0x30, octets(PPID) + octets(PPID))

        refused(parts, "an element begins with tag 04, expected an OID")

    @pytest.mark.parametrize("group", ["top", "tcb", "configuration"])
    def test_no_value(self, group):
        """
        An OID alone is no pair.
        """
        parts = Parts()
        arcs = {"top": [1], "tcb": [2, 1], "configuration": [7, 1]}[group]
        getattr(parts, group)[0] = pair(arcs, b"")

        refused(parts, "cut off")

    def test_two_values(self):
        """
        Nor are an OID and two values.
        """
        parts = Parts()
        parts.top[3] = pair([4], octets(FMSPC) + octets(FMSPC))

        refused(parts, r"fmspc \(.*\.4\) has more than one value")


class TestDer:
    @pytest.mark.parametrize("tail", [b"\0", b"\5\0", Parts().to_der()])
    def test_behind_the_extension(self, tail):
        """
        Nothing may follow the sequence.
        """
        issued = certificate(Parts().to_der() + tail)

        with pytest.raises(MalformedError, match="is not one SEQUENCE"):
            PckCertificate.from_certificate(issued)

    @pytest.mark.parametrize("extension", [b"", b"\x30", b"\x30\5\0"])
    def test_cut_off(self, extension):
        """
        Nor may there be less than it says.
        """
        issued = certificate(extension)

        with pytest.raises(MalformedError, match="cut off") as e:
            PckCertificate.from_certificate(issued)

        assert "extension" == e.value.reason

    def test_other_tag(self):
        """
        A SET is no SEQUENCE.
        """
        issued = certificate(b"\x31" + Parts().to_der()[1:])

        with pytest.raises(MalformedError, match="is not one SEQUENCE"):
            PckCertificate.from_certificate(issued)

    @pytest.mark.parametrize("group", ["top", "tcb", "configuration"])
    @pytest.mark.parametrize("tail", [b"\0", b"\0\0", b"\5\0"])
    def test_behind_the_pairs(self, group, tail):
        """
        Nor may anything stand behind the pairs of a sequence.
        """
        parts = Parts()
        getattr(parts, group).append(tail)

        refused(parts, "(cut off|tag 0[05], expected 30)")

    def test_behind_a_value(self):
        """
        Nor behind a value in its pair.
        """
        parts = Parts()
        parts.tcb[0] = pair([2, 1], integer(CPUSVN[0]) + b"\0\0")

        refused(parts, "component 1 .* has more than one value")

    @pytest.mark.parametrize(
        "value",
        [
            b"\4\x81\6" + FMSPC,
            b"\4\x82\0\6" + FMSPC,
            b"\x24\x80\4\6" + FMSPC + b"\0\0",
            b"\4\x83\0\0\6" + FMSPC,
        ],
    )
    def test_length(self, value):
        """
        A length has one form: the shortest one.
        """
        parts = Parts()
        parts.top[3] = pair([4], value)

        refused(parts, r"^1\.2\.840\.113741\.1\.13\.1: length ")

    def test_constructed(self):
        """
        In DER an octet string is in one piece.
        """
        parts = Parts()
        parts.top[3] = pair([4], tlv(0x24, octets(FMSPC)))

        refused(parts, r"fmspc \(.*\) has tag 24, expected 04")


def spells_a_machine(error):
    """
    Tell whether the name of the machine can be read in *error*.
    """
    text = str(error).lower()
    return any(
        spelled in text
        for secret in (PPID, INSTANCE)
        for spelled in (
            secret.hex(),
            repr(secret).lower(),
            str(int.from_bytes(secret)),
        )
    )


def read_or_refuse(der, ca):
    """
    Check that *der* is either read as an SGX extension or refused by name,
    and that no machine is named.
    """
    issued = certificate(der, issuer=ca)
    error = None
    try:
        PckCertificate.from_certificate(issued)
    except MalformedError as e:
        error = e
    assert error is None or error.reason in {"extension", "cpusvn"}
    assert not spells_a_machine(error)


class TestHostile:
    @settings(max_examples=500, deadline=None)
    @given(st.data(), st.sampled_from([PLATFORM, PROCESSOR]))
    def test_changed_octets(self, data, ca):
        """
        Whatever octets are changed, the extension is read or refused, and no
        message names the machine.
        """
        der = bytearray(Parts(ca).to_der())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(der) - 1))
            der[at] = data.draw(st.integers(0, 255))

        read_or_refuse(bytes(der), ca)

    @settings(max_examples=300, deadline=None)
    @given(st.data(), st.sampled_from([PLATFORM, PROCESSOR]))
    def test_moved_octets(self, data, ca):
        """
        The same where octets are taken out, put in or moved.
        """
        der = Parts(ca).to_der()
        cuts = sorted(
            data.draw(
                st.lists(st.integers(0, len(der)), min_size=4, max_size=4)
            )
        )
        a, b, c, d = cuts
        junk = data.draw(st.binary(max_size=4))

        read_or_refuse(der[:a] + der[c:d] + junk + der[b:c] + der[d:], ca)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=64))
    def test_any_octets(self, der):
        """
        No octets that are not made for it are an SGX extension.
        """
        with pytest.raises(MalformedError):
            PckCertificate.from_certificate(certificate(der))

    @pytest.mark.parametrize("ca", [PLATFORM, PROCESSOR])
    def test_every_cut(self, ca):
        """
        Cut off anywhere, the extension is refused.
        """
        der = Parts(ca).to_der()
        for size in range(0, len(der), 3):
            with pytest.raises(MalformedError):
                PckCertificate.from_certificate(
                    certificate(der[:size], issuer=ca)
                )

    def test_ppid_in_other_places(self):
        """
        A PPID in the place of other fields is not shown either.
        """
        for i, arcs in enumerate([[1], [2], [3], [4], [5], [6], [7], [9]]):
            for tag in (2, 4, 6, 10, 0x30):
                parts = Parts()
                parts.top[i % 7] = pair(arcs, tlv(tag, PPID * 2))
                read_or_refuse(parts.to_der(), PLATFORM)
        parts = Parts()
        parts.top[0] = tlv(0x30, tlv(6, BASE + PPID) + octets(PPID))
        read_or_refuse(parts.to_der(), PLATFORM)
