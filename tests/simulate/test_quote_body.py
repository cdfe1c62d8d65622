import dataclasses

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulate.quotes import KINDS, PLATFORM, TDX_KINDS, make, take_apart
from thim.errors import ParameterError
from thim.simulate.quote import QuotingEnclave, SgxBody, TdBody, TdBody15


#: Offset and length of each field.
SGX_FIELDS = {
    "cpusvn": (0, 16),
    "miscselect": (16, 4),
    "isvextprodid": (32, 16),
    "attributes": (48, 16),
    "mrenclave": (64, 32),
    "mrsigner": (128, 32),
    "configid": (192, 64),
    "isvprodid": (256, 2),
    "isvsvn": (258, 2),
    "configsvn": (260, 2),
    "isvfamilyid": (304, 16),
    "report_data": (320, 64),
}
SGX_NUMBERS = {"isvprodid", "isvsvn", "configsvn"}
SGX_RESERVED = [(20, 32), (96, 128), (160, 192), (262, 304)]
TD_FIELDS = {
    "tee_tcb_svn": (0, 16),
    "mrseam": (16, 48),
    "mrsignerseam": (64, 48),
    "seam_attributes": (112, 8),
    "td_attributes": (120, 8),
    "xfam": (128, 8),
    "mrtd": (136, 48),
    "mrconfigid": (184, 48),
    "mrowner": (232, 48),
    "mrownerconfig": (280, 48),
    "report_data": (520, 64),
}
TD_15_FIELDS = {
    **TD_FIELDS,
    "tee_tcb_svn_2": (584, 16),
    "mrservicetd": (600, 48),
}
RTMRS = [328, 376, 424, 472]


def values(fields, numbers=frozenset()):
    """
    Make a strategy for the values of *fields*.
    """
    return st.fixed_dictionaries(
        {
            name: st.integers(0, 0xFFFF)
            if name in numbers
            else st.binary(min_size=size, max_size=size)
            for name, (_, size) in fields.items()
        }
    )


class TestFields:
    @settings(max_examples=50, deadline=None)
    @given(values(SGX_FIELDS, SGX_NUMBERS))
    def test_sgx(self, given_values):
        """
        An SGX quote carries whatever it is given at the documented offsets,
        and zeros between.
        """
        parts = take_apart(make("v3", body=SgxBody(**given_values)))

        for name, (at, size) in SGX_FIELDS.items():
            got = parts.body[at : at + size]
            if name in SGX_NUMBERS:
                got = int.from_bytes(got, "little")
            assert given_values[name] == got
        for at, end in SGX_RESERVED:
            assert bytes(end - at) == parts.body[at:end]

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_tdx(self, kind, data):
        """
        A TDX quote carries whatever it is given at the documented offsets.
        """
        body_class = KINDS[kind][1]
        fields = TD_15_FIELDS if body_class is TdBody15 else TD_FIELDS
        given_values = data.draw(values(fields))
        register = st.binary(min_size=48, max_size=48)
        rtmrs = data.draw(st.tuples(*[register] * 4))

        body = body_class(rtmrs=rtmrs, **given_values)
        parts = take_apart(make(kind, body=body))

        for name, (at, size) in fields.items():
            assert given_values[name] == parts.body[at : at + size]
        for at, rtmr in zip(RTMRS, rtmrs, strict=True):
            assert rtmr == parts.body[at : at + 48]

    def test_cpusvn(self):
        """
        An SGX report has the CPUSVN of the platform unless one is given.
        """
        parts = take_apart(make("v3"))

        assert PLATFORM.cpusvn == parts.body[:16]

    @pytest.mark.parametrize("body_class", [SgxBody, TdBody, TdBody15])
    def test_defaults_differ(self, body_class):
        """
        No two measurements are equal by default, unless they are zero: a
        reader that confuses them is found out.
        """
        body = body_class()
        measured = [
            value
            for value in [
                *(getattr(body, f.name) for f in dataclasses.fields(body)),
                *getattr(body, "rtmrs", ()),
            ]
            if isinstance(value, bytes) and len(value) >= 32 and any(value)
        ]

        assert measured
        assert len(set(measured)) == len(measured)


class TestRefused:
    @pytest.mark.parametrize(
        ("body_class", "name", "size"),
        [
            *(
                (SgxBody, name, size)
                for name, (_, size) in SGX_FIELDS.items()
                if name not in SGX_NUMBERS
            ),
            *((TdBody, n, size) for n, (_, size) in TD_FIELDS.items()),
            *((TdBody15, n, size) for n, (_, size) in TD_15_FIELDS.items()),
            (QuotingEnclave, "mrenclave", 32),
            (QuotingEnclave, "mrsigner", 32),
            (QuotingEnclave, "attributes", 16),
            (QuotingEnclave, "miscselect", 4),
        ],
    )
    def test_wrong_size(self, body_class, name, size):
        """
        A value that is too short, too long or empty is refused by its name,
        what it is, and what was expected.
        """
        for wrong in (size - 1, size + 1, 0):
            with pytest.raises(
                ParameterError,
                match=rf"^{name}: got '.*, {wrong} bytes, expected {size}$",
            ):
                body_class(**{name: b"\xab" * wrong})

    @pytest.mark.parametrize("value", [-1, 0x10000])
    @pytest.mark.parametrize(
        ("body_class", "name"),
        [
            *((SgxBody, name) for name in sorted(SGX_NUMBERS)),
            (QuotingEnclave, "isvprodid"),
            (QuotingEnclave, "isvsvn"),
        ],
    )
    def test_out_of_range(self, body_class, name, value):
        """
        A number that 16 bits cannot hold is refused.
        """
        with pytest.raises(
            ParameterError,
            match=rf"^{name}: got '{value}', expected 0 to 65535$",
        ):
            body_class(**{name: value})

    @pytest.mark.parametrize("count", [0, 3, 5])
    def test_number_of_rtmrs(self, count):
        """
        There are four RTMRs.
        """
        with pytest.raises(
            ParameterError, match=rf"^rtmrs: got '{count}', expected 4 of them$"
        ):
            TdBody(rtmrs=(bytes(48),) * count)

    def test_size_of_an_rtmr(self):
        """
        The RTMR of another length is named.
        """
        rtmrs = (bytes(48), bytes(48), bytes(47), bytes(48))

        with pytest.raises(
            ParameterError, match=r"^rtmrs\[2\]: .*, 47 bytes, expected 48$"
        ):
            TdBody15(rtmrs=rtmrs)

    def test_too_much_authentication_data(self):
        """
        The size of authentication data has 16 bits.
        """
        with pytest.raises(
            ParameterError,
            match=r"^authentication_data: got '65536', expected at most 65535 ",
        ):
            QuotingEnclave(authentication_data=bytes(0x10000))
