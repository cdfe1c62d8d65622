import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.quote_parts import (
    FORMS,
    HOSTILE,
    MOST_16,
    MOST_32,
    NAMED,
    NESTED,
    PCE_ID,
    PPIDS,
    STARTS,
    a_quote,
    read_or_refuse,
    refused,
    u32,
)
from thim.errors import MalformedError
from thim.intel.quote import Quote


class TestLengths:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("by", [-3600, -64, -1, 1, 64])
    def test_signature_data(self, form, by):
        """
        The size of the signature data is exact.
        """
        exact = a_quote(form)
        size = len(exact.signature_data) + by

        refused(a_quote(form, size=size).raw, "signature-size")

    @pytest.mark.parametrize("form", NESTED)
    @pytest.mark.parametrize("by", [-3600, -1, 1])
    def test_outer(self, form, by):
        """
        So is that of the outer certification data.
        """
        size = len(a_quote(form).inner) + by

        raw = a_quote(form, outer_size=size).raw
        refused(raw, "certification-size", "^QE report certification data")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("size", [0, 1, 3599, 3601])
    def test_certification_data(self, form, size):
        """
        So is that of the certification data.
        """
        raw = a_quote(form, data_size=size).raw

        refused(raw, "certification-size", "^certification data: the end")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        ("name", "reason"),
        [("size", "signature-size"), ("data_size", "certification-size")],
    )
    @pytest.mark.parametrize("size", HOSTILE)
    def test_hostile(self, form, name, reason, size):
        """
        A size of four gigabytes is refused, whichever it is.
        """
        refused(a_quote(form, **{name: size}).raw, reason)

    @pytest.mark.parametrize("form", NESTED)
    @pytest.mark.parametrize("size", HOSTILE)
    def test_hostile_outer(self, form, size):
        """
        So it is around the QE's report.
        """
        refused(a_quote(form, outer_size=size).raw, "certification-size")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("by", [1, 3, 1000])
    def test_authentication_data(self, form, by):
        """
        Authentication data leave room for what must follow them.
        """
        made = a_quote(form)
        left = 32 + len(made.data)

        raw = a_quote(form, auth_size=left + by).raw
        refused(raw, "authentication-size", "^authentication data: the end")

    @pytest.mark.parametrize("form", FORMS)
    def test_hostile_authentication_data(self, form):
        """
        So they do not have 64 kB where these are not there.
        """
        raw = a_quote(form, auth_size=MOST_16).raw

        refused(raw, "authentication-size")

    @pytest.mark.parametrize("form", FORMS)
    def test_misplaced_type(self, form):
        """
        Where their size is wrong, what seems to follow does not fit.
        """
        made = a_quote(form, auth=bytes(40), auth_size=32)

        refused(made.raw, "certification-size")

    def test_no_authentication_data(self):
        """
        Signature data that end with the QE's report have no size of
        authentication data.
        """
        whole = a_quote("v3").raw
        cut = whole[: 436 + 128 + 448]
        raw = cut[:432] + u32(128 + 448) + cut[436:]

        refused(raw, "certification-size", "^QE report and signature: the end")

    @pytest.mark.parametrize("size", [0, 64, 128, 133])
    def test_no_certification_data(self, size):
        """
        Nor have those that end with the key certification data.
        """
        raw = a_quote("v4-tdx").raw
        raw = raw[:632] + u32(size) + raw[636 : 636 + size]

        refused(raw, "certification-size", "^QE report certification data")


class TestHostile:
    @pytest.mark.parametrize("form", [*FORMS])
    def test_cut_off(self, form):
        """
        Cut off anywhere, a quote is refused.
        """
        raw = a_quote(form).raw
        for size in range(len(raw)):
            with pytest.raises(MalformedError):
                Quote(raw[:size])

    @pytest.mark.parametrize("form", [*FORMS])
    def test_cut_off_with_its_size(self, form):
        """
        So it is where the size of the signature data is right.
        """
        raw = a_quote(form).raw
        at = STARTS[form][0]
        for size in range(len(raw) - at):
            with pytest.raises(MalformedError):
                Quote(raw[: at - 4] + u32(size) + raw[at : at + size])

    @settings(max_examples=200)
    @given(st.binary(max_size=2000))
    def test_any_bytes(self, raw):
        """
        No bytes at all raise anything else.
        """
        read_or_refuse(raw)

    @settings(max_examples=200)
    @given(st.sampled_from([*FORMS]), st.binary(max_size=2000))
    def test_any_bytes_behind_a_header(self, form, rest):
        """
        Nor do any that begin like a quote.
        """
        read_or_refuse(a_quote(form).raw[:54] + rest)

    @settings(max_examples=200)
    @given(
        st.sampled_from([*FORMS]),
        st.lists(
            st.tuples(st.integers(0, 6000), st.integers(0, 255)),
            min_size=1,
            max_size=4,
        ),
    )
    def test_changed_bytes(self, form, changes):
        """
        Nor do quotes in which bytes are changed.
        """
        raw = bytearray(a_quote(form).raw)
        for at, octet in changes:
            raw[at % len(raw)] = octet

        read_or_refuse(bytes(raw))

    @settings(max_examples=200)
    @given(
        st.sampled_from([*FORMS]),
        st.lists(st.integers(0, 6000), min_size=4, max_size=4),
        st.binary(max_size=8),
    )
    def test_moved_bytes(self, form, cuts, junk):
        """
        Nor those in which some are taken out, put in or moved.
        """
        raw = a_quote(form).raw
        a, b, c, d = sorted(cut % len(raw) for cut in cuts)

        read_or_refuse(raw[:a] + raw[c:d] + junk + raw[b:c] + raw[d:])

    @settings(max_examples=200)
    @given(
        form=st.sampled_from([*FORMS]),
        sizes=st.fixed_dictionaries(
            {},
            optional={
                "size": st.integers(0, MOST_32),
                "outer_size": st.integers(0, MOST_32),
                "auth_size": st.integers(0, MOST_16),
                "data_size": st.integers(0, MOST_32),
                "data_type": st.integers(0, 8),
                "outer_type": st.integers(0, 8),
                "data": st.binary(max_size=500),
                "auth": st.binary(max_size=500),
            },
        ),
    )
    def test_any_sizes(self, form, sizes):
        """
        Nor do any sizes and types.
        """
        read_or_refuse(a_quote(form, **sizes).raw)


def shows(text, secret):
    """
    Tell whether *secret* can be read in *text*, in part or in full.
    """
    head = secret[:8]
    spelled = [head.hex(), repr(head)[2:-1], str(int.from_bytes(secret))]
    return any(each.lower() in text.lower() for each in spelled)


class TestSecrets:
    @pytest.mark.parametrize("number", PPIDS)
    def test_repr(self, number):
        """
        Neither a quote nor what names its certificate shows the PPID.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        quote = Quote(a_quote(data_type=number, data=data).raw)

        for shown in (quote, quote.pck_name, quote.body, quote.qe_report):
            assert not shows(repr(shown) + str(shown), PPIDS[number])

    @pytest.mark.parametrize(
        "changes",
        [
            {"data_type": 0},
            {"data_type": 4},
            {"data_type": 7},
            {"outer_type": 1},
            {"data_size": 35},
            {"data_size": 37},
            {"data_size": MOST_32},
            {"outer_size": 7},
            {"auth_size": 0},
            {"auth_size": 40},
            {"auth_size": MOST_16},
            {"size": 7},
            {"behind_data": b"\0"},
            {"behind_outer": b"\0"},
            {"behind_all": b"\0"},
            {"key_type": 3},
            {"descriptor": bytes(6)},
            {"body": b""},
            {"tee": 1},
        ],
    )
    @pytest.mark.parametrize("number", PPIDS)
    def test_refused(self, number, changes):
        """
        No message shows it, whatever is wrong.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        parts = {"data_type": number, "data": data} | changes
        with pytest.raises(MalformedError) as e:
            Quote(a_quote("v5-td-1.5", **parts).raw)

        assert not shows(str(e.value) + repr(e.value), PPIDS[number])

    @settings(max_examples=100)
    @given(
        st.sampled_from([*FORMS]),
        st.sampled_from([*PPIDS]),
        st.lists(
            st.tuples(st.integers(0, 6000), st.integers(0, 255)), max_size=3
        ),
        st.integers(0, 40),
    )
    def test_changed_bytes(self, form, number, changes, cut):
        """
        Nor does any where bytes are changed or cut off.
        """
        data = PPIDS[number] + NAMED + PCE_ID
        raw = bytearray(a_quote(form, data_type=number, data=data).raw)
        for at, octet in changes:
            raw[at % len(raw)] = octet

        text = read_or_refuse(bytes(raw[: len(raw) - cut]))

        assert not shows(text, PPIDS[number])
