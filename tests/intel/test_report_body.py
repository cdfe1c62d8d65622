import pytest

from thim.intel.layout import Number, Octets
from thim.intel.report_body import (
    SgxReportBody,
    Td10Body,
    Td15Body,
    Td15ExBody,
)


#: Bytes as they are in memory: name, offset, size.
SGX_OCTETS = [
    ("cpusvn", 0, 16),
    ("miscselect", 16, 4),
    ("isvextprodid", 32, 16),
    ("attributes", 48, 16),
    ("mrenclave", 64, 32),
    ("mrsigner", 128, 32),
    ("configid", 192, 64),
    ("isvfamilyid", 304, 16),
    ("report_data", 320, 64),
]
#: Numbers, their lower bytes first.
SGX_NUMBERS = [
    ("flags", 48, 8),
    ("xfrm", 56, 8),
    ("isvprodid", 256, 2),
    ("isvsvn", 258, 2),
    ("configsvn", 260, 2),
]
TD10_OCTETS = [
    ("tee_tcb_svn", 0, 16),
    ("mrseam", 16, 48),
    ("mrsignerseam", 64, 48),
    ("seamattributes", 112, 8),
    ("mrtd", 136, 48),
    ("mrconfigid", 184, 48),
    ("mrowner", 232, 48),
    ("mrownerconfig", 280, 48),
    ("rtmr0", 328, 48),
    ("rtmr1", 376, 48),
    ("rtmr2", 424, 48),
    ("rtmr3", 472, 48),
    ("report_data", 520, 64),
]
TD_NUMBERS = [("tdattributes", 120, 8), ("xfam", 128, 8)]
TD15_OCTETS = [
    *TD10_OCTETS,
    ("tee_tcb_svn_2", 584, 16),
    ("mrservicetd", 600, 48),
]
TD15EX_OCTETS = [
    *TD15_OCTETS,
    ("tdid", 649, 32),
    ("devinfo", 681, 48),
    ("init_servicetd", 729, 48),
    ("init_servicetd_attributes", 777, 8),
    ("init_cpusvn", 785, 16),
    ("init_tee_tcb_svn", 801, 16),
    ("init_fmspc", 817, 12),
    ("curr_servicetd", 829, 48),
    ("curr_servicetd_attributes", 877, 8),
]
TD15EX_NUMBERS = [*TD_NUMBERS, ("vmid", 648, 1)]

SIZES = {SgxReportBody: 384, Td10Body: 584, Td15Body: 648, Td15ExBody: 885}
OCTETS = {
    SgxReportBody: SGX_OCTETS,
    Td10Body: TD10_OCTETS,
    Td15Body: TD15_OCTETS,
    Td15ExBody: TD15EX_OCTETS,
}
NUMBERS = {
    SgxReportBody: SGX_NUMBERS,
    Td10Body: TD_NUMBERS,
    Td15Body: TD_NUMBERS,
    Td15ExBody: TD15EX_NUMBERS,
}
TD_BODIES = [Td10Body, Td15Body, Td15ExBody]


def rows(tables):
    """
    List the fields in *tables*, each with the body that it is of.
    """
    return [
        pytest.param(kind, *row, id=f"{kind.__name__}-{row[0]}")
        for kind, table in tables.items()
        for row in table
    ]


def a_body(kind, at, octets):
    """
    Make a body of *kind* that has *octets* at *at*, and 0xee elsewhere.
    """
    raw = bytearray(b"\xee" * SIZES[kind])
    raw[at : at + len(octets)] = octets
    return kind(bytes(raw))


def bits_that(kind, at, size, name):
    """
    List which single bits of the *size* bytes at *at* make *name* true in an
    otherwise empty body of *kind*.
    """
    found = []
    for bit in range(8 * size):
        raw = bytearray(SIZES[kind])
        raw[at : at + size] = (1 << bit).to_bytes(size, "little")
        if getattr(kind(bytes(raw)), name) is True:
            found.append(bit)
    return found


def bytes_of_tcb(kind):
    """
    List which bytes of a body of *kind* its TCB depends on.
    """
    zero = bytes(SIZES[kind])
    return [
        at
        for at in range(len(zero))
        if kind(zero[:at] + b"\1" + zero[at + 1 :]).tcb != kind(zero).tcb
    ]


class TestFields:
    @pytest.mark.parametrize(("kind", "name", "offset", "size"), rows(OCTETS))
    def test_octets(self, kind, name, offset, size):
        """
        What is no number is the bytes at its offset, in the same order.
        """
        octets = bytes(range(1, size + 1))

        assert octets == getattr(a_body(kind, offset, octets), name)

    @pytest.mark.parametrize(("kind", "name", "offset", "size"), rows(NUMBERS))
    def test_numbers(self, kind, name, offset, size):
        """
        What is a number has its lower bytes first.
        """
        octets = bytes(range(1, size + 1))
        expected = sum(n << 8 * i for i, n in enumerate(octets))

        assert expected == getattr(a_body(kind, offset, octets), name)

    @pytest.mark.parametrize("kind", SIZES)
    def test_no_more(self, kind):
        """
        A body has the fields of Intel's headers and no others.
        """
        expected = {row[0] for row in OCTETS[kind] + NUMBERS[kind]}

        assert expected == {
            name
            for name in dir(kind)
            if isinstance(getattr(kind, name), (Octets, Number))
        }

    def test_to_the_last_byte(self):
        """
        The fields of TDX 1.5ex leave no byte out, the last one included.
        """
        fields = sorted(row[1:] for row in TD15EX_OCTETS + TD15EX_NUMBERS)
        end = 0
        for offset, size in fields:
            assert end == offset
            end += size

        assert 885 == end

    @pytest.mark.parametrize("kind", SIZES)
    def test_raw(self, kind):
        """
        The body as it was given stays at hand.
        """
        raw = bytes(i % 251 for i in range(SIZES[kind]))

        assert raw == kind(raw).raw

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            (Td10Body, "TD 1.0"),
            (Td15Body, "TD 1.5"),
            (Td15ExBody, "TD 1.5ex"),
        ],
    )
    def test_name(self, kind, expected):
        """
        Each form of a TD's report has a name for people.
        """
        assert expected == kind.name


class TestSgxFlags:
    def test_debug(self):
        """
        An enclave is under debug by bit 1 of its flags, and by no other bit of
        its attributes.
        """
        assert [1] == bits_that(SgxReportBody, 48, 16, "debug")

    def test_kss(self):
        """
        An enclave uses key separation by bit 7 of its flags, and by no other.
        """
        assert [7] == bits_that(SgxReportBody, 48, 16, "kss")

    @pytest.mark.parametrize(
        ("flags", "debug", "kss"),
        [
            ("0500000000000000", False, False),
            ("0700000000000000", True, False),
            ("1500000000000000", False, False),
            ("8500000000000000", False, True),
            ("8700000000000000", True, True),
        ],
    )
    def test_as_in_real_quotes(self, flags, debug, kss):
        """
        Flags as real enclaves have them are read for what they are.
        """
        body = a_body(SgxReportBody, 48, bytes.fromhex(flags))

        assert (debug, kss) == (body.debug, body.kss)


class TestTdAttributes:
    @pytest.mark.parametrize("kind", TD_BODIES)
    def test_debug(self, kind):
        """
        A TD is under debug by any bit of the group TUD, bits 0 to 7.
        """
        assert [0, 1, 2, 3, 4, 5, 6, 7] == bits_that(kind, 120, 8, "debug")

    @pytest.mark.parametrize("kind", TD_BODIES)
    def test_sept_ve_disable(self, kind):
        """
        The host cannot inject #VE by bit 28, and by no other.
        """
        assert [28] == bits_that(kind, 120, 8, "sept_ve_disable")

    @pytest.mark.parametrize(
        ("attributes", "debug", "sept_ve_disable"),
        [
            ("0000001000000000", False, True),
            ("0000000000000000", False, False),
            ("0100005000000080", True, True),
            ("0000003000000000", False, True),
            ("0000001000000080", False, True),
        ],
    )
    def test_as_in_real_quotes(self, attributes, debug, sept_ve_disable):
        """
        Attributes as real TDs have them are read for what they are.
        """
        body = a_body(Td10Body, 120, bytes.fromhex(attributes))

        assert (debug, sept_ve_disable) == (body.debug, body.sept_ve_disable)


class TestTcb:
    def test_sgx(self):
        """
        An enclave's body says nothing of its TCB: the PCK certificate does.
        """
        assert b"" == a_body(SgxReportBody, 0, bytes(range(1, 17))).tcb

    def test_td_1_0(self):
        """
        A TD's TCB is what comes before its own attributes: SVNs, and who made
        and signed the module.
        """
        assert [*range(120)] == bytes_of_tcb(Td10Body)

    @pytest.mark.parametrize("kind", [Td15Body, Td15ExBody])
    def test_td_1_5(self, kind):
        """
        From TDX 1.5 on, what it runs under now belongs to its TCB, and nothing
        else besides.
        """
        assert [*range(120), *range(584, 600)] == bytes_of_tcb(kind)

    def test_moved(self):
        """
        A byte of the launch is not taken for one of now.
        """
        launch = bytes([1]) + bytes(647)
        now = bytes(584) + bytes([1]) + bytes(63)

        assert Td15Body(launch).tcb != Td15Body(now).tcb
