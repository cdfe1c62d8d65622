"""
Which step finds out which change of a quote.
"""

import pytest

from cryptography.hazmat.primitives.asymmetric import ec

from tests.intel.quotes_made import (
    BINDING,
    CHAIN,
    INTEL,
    KINDS,
    NEIGHBOUR,
    ORDER,
    QUOTE,
    REPORT,
    TDX_KINDS,
    bind,
    flip,
    from_signature,
    good,
    join,
    make,
    parts_of,
    sign_quote,
    sign_report,
    to_point,
    to_signature,
    verify,
    why,
)
from thim.errors import MalformedError
from thim.intel.quote import Quote
from thim.intel.steps import Step
from thim.intel.tcb import TcbStatus
from thim.simulate.quote import QuotingEnclave


#: Where a part begins: in SGX v3, TD 1.0 in v4, TD 1.5 in v5.
PARTS = {
    "header": (0, 0, 0),
    "descriptor": (None, None, 48),
    "body": (48, 48, 54),
    "size": (432, 632, 702),
    "signature": (436, 636, 706),
    "key": (500, 700, 770),
    "outer": (None, 764, 834),
    "QE report": (564, 770, 840),
    "QE signature": (948, 1154, 1224),
    "authentication": (1012, 1218, 1288),
    "certification": (1046, 1252, 1322),
}

#: Fields whose change makes it no quote: the part, the offset in it, a bit.
LAYOUT = {
    "version": ("header", 0, 7, "quote-version"),
    "attestation key type": ("header", 2, 7, "attestation-key-type"),
    "TEE type": ("header", 4, 1, "tee-type"),
    "QE vendor ID, first": ("header", 12, 0, "qe-vendor"),
    "QE vendor ID, last": ("header", 27, 7, "qe-vendor"),
    "body type": ("descriptor", 0, 2, "body-type"),
    "body size": ("descriptor", 2, 0, "body-type"),
    "signature size": ("size", 0, 0, "signature-size"),
    "signature size, high": ("size", 3, 7, "signature-size"),
    "outer type": ("outer", 0, 0, "certification-type"),
    "outer size": ("outer", 2, 0, "certification-size"),
    "authentication size": ("authentication", 1, 7, "authentication-size"),
    "authentication size, less": ("authentication", 0, 5, "certification-size"),
    "certification type": ("certification", 0, 1, "certification-type"),
    "certification size": ("certification", 2, 0, "certification-size"),
    "certification size, high": ("certification", 5, 7, "certification-size"),
}
#: Fields that the quote signature covers, and nothing else looks at.
SIGNED = {
    "QE SVN": ("header", 8),
    "PCE SVN": ("header", 10),
    "QE ID": ("header", 28),
    "user data": ("header", 47),
}
SGX = {
    "CPUSVN": 0,
    "MISCSELECT": 16,
    "reserved at 20": 31,
    "ISVEXTPRODID": 32,
    "FLAGS": 48,
    "XFRM": 63,
    "MRENCLAVE": 64,
    "reserved at 96": 127,
    "MRSIGNER": 128,
    "reserved at 160": 160,
    "CONFIGID": 255,
    "ISVPRODID": 256,
    "ISVSVN": 259,
    "CONFIGSVN": 260,
    "reserved at 262": 303,
    "ISVFAMILYID": 304,
    "REPORTDATA": 383,
}
TD_10 = {
    "TEE_TCB_SVN": 0,
    "TEE_TCB_SVN, last": 15,
    "MRSEAM": 16,
    "TDATTRIBUTES": 120,
    "XFAM": 128,
    "MRTD": 136,
    "MRCONFIGID": 184,
    "MROWNER": 232,
    "MROWNERCONFIG": 280,
    "RTMR0": 328,
    "RTMR1": 376,
    "RTMR2": 424,
    "RTMR3": 519,
    "REPORTDATA": 583,
}
TD_15 = {
    **TD_10,
    "TEE_TCB_SVN_2": 584,
    "MRSERVICETD": 647,
}
BODIES = dict(zip(KINDS, (SGX, TD_10, TD_15), strict=True))
#: What the TCB info has to say something of.
MODULE = {
    "TEE_TCB_SVN, module version": (1, "tdx-module-unknown"),
    "MRSIGNERSEAM": (64, "tdx-module-mrsignerseam"),
    "MRSIGNERSEAM, last": (111, "tdx-module-mrsignerseam"),
    "SEAMATTRIBUTES": (112, "tdx-module-seamattributes"),
    "SEAMATTRIBUTES, last": (119, "tdx-module-seamattributes"),
}
VOUCHED = {
    "r": ("signature", 0, QUOTE),
    "s": ("signature", 63, QUOTE),
    "attestation key x": ("key", 0, BINDING),
    "attestation key y": ("key", 63, BINDING),
    "QE CPUSVN": ("QE report", 0, REPORT),
    "QE MISCSELECT": ("QE report", 16, REPORT),
    "QE ATTRIBUTES": ("QE report", 48, REPORT),
    "QE MRENCLAVE": ("QE report", 64, REPORT),
    "QE MRSIGNER": ("QE report", 128, REPORT),
    "QE ISVPRODID": ("QE report", 256, REPORT),
    "QE ISVSVN": ("QE report", 258, REPORT),
    "QE REPORTDATA": ("QE report", 320, REPORT),
    "QE REPORTDATA, last": ("QE report", 383, REPORT),
    "QE report r": ("QE signature", 0, REPORT),
    "QE report s": ("QE signature", 63, REPORT),
    "authentication data": ("authentication", 2, BINDING),
    "authentication data, last": ("authentication", 33, BINDING),
    "PEM": ("certification", 6, CHAIN),
}


def has(kind, part):
    """
    Tell whether quotes of a *kind* have such a part.
    """
    return PARTS[part][KINDS.index(kind)] is not None


def changed(kind, part, offset, bit=7):
    """
    Flip a bit of a good quote.
    """
    begin = PARTS[part][KINDS.index(kind)]
    return flip(good(kind), begin + offset, bit)


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestEachField:
    def test_unchanged(self, kind):
        """
        Without a change the quote is authentic, and up to date.
        """
        verdict = verify(kind)

        assert None is why(verdict)
        assert TcbStatus.UP_TO_DATE is verdict.tcb_status
        assert (verdict.findings, verdict.notes) == ((), ())

    @pytest.mark.parametrize(
        ("kind", "field"),
        [(k, f) for k in KINDS for f in LAYOUT if has(k, LAYOUT[f][0])],
    )
    def test_layout(self, kind, field):
        """
        What says where the parts are makes it another layout, or none.
        """
        part, offset, bit, reason = LAYOUT[field]

        with pytest.raises(MalformedError) as e:
            Quote(changed(kind, part, offset, bit))

        assert reason == e.value.reason

    @pytest.mark.parametrize("field", SIGNED)
    def test_header(self, kind, field):
        """
        The rest of the header is signed by the attestation key.
        """
        assert QUOTE == why(verify(kind, changed(kind, *SIGNED[field])))

    @pytest.mark.parametrize(
        ("kind", "field"), [(k, f) for k in KINDS for f in BODIES[k]]
    )
    def test_body(self, kind, field):
        """
        So is each field of the body, even where it is reserved.
        """
        raw = changed(kind, "body", BODIES[kind][field])

        assert QUOTE == why(verify(kind, raw))

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize("field", MODULE)
    def test_module(self, kind, field):
        """
        What names the TDX module is compared before any signature.
        """
        offset, reason = MODULE[field]

        verdict = verify(kind, changed(kind, "body", offset))

        assert (Step.MODULE, reason) == why(verdict)

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize("bit", [0, 1], ids=["version 0", "version 3"])
    def test_other_known_module(self, kind, bit):
        """
        A change to the version of another known module is found out by the
        quote signature.
        """
        assert QUOTE == why(verify(kind, changed(kind, "body", 1, bit)))

    @pytest.mark.parametrize("field", VOUCHED)
    def test_signature_data(self, kind, field):
        """
        Each field of the signature data fails at the step that it is for.
        """
        part, offset, step = VOUCHED[field]

        assert step == why(verify(kind, changed(kind, part, offset)))


class TestSignature:
    @pytest.mark.parametrize("part", ["signature", "qe_signature"])
    @pytest.mark.parametrize(
        ("r", "s"),
        [
            (0, None),
            (None, 0),
            (0, 0),
            (ORDER, None),
            (None, ORDER),
            (2**256 - 1, 2**256 - 1),
            (1, 1),
        ],
    )
    def test_out_of_range(self, kind, part, r, s):
        """
        R and s of 0, or as large as the order, are a signature that does not
        hold, and no other error.
        """
        parts = parts_of(kind)
        given = from_signature(getattr(parts, part))
        r = given[0] if r is None else r
        s = given[1] if s is None else s
        setattr(parts, part, to_signature(r, s))

        step = QUOTE if part == "signature" else REPORT
        assert step == why(verify(kind, join(parts)))

    def test_malleable(self, kind):
        """
        With s turned to n - s a signature still holds: that is ECDSA, and why
        a quote's digest does not name it.
        """
        parts = parts_of(kind)
        r, s = from_signature(parts.signature)
        parts.signature = to_signature(r, ORDER - s)

        assert None is why(verify(kind, join(parts)))

    def test_another_key(self, kind):
        """
        A quote that another key signed is not the attestation key's.
        """
        parts = sign_quote(parts_of(kind), INTEL.key("another"))

        assert QUOTE == why(verify(kind, join(parts)))

    def test_another_key_put_in(self, kind):
        """
        Nor does it help to put that key in: the QE does not vouch for it.
        """
        key = INTEL.key("another")
        parts = sign_quote(parts_of(kind), key)
        parts.key = to_point(key)

        assert BINDING == why(verify(kind, join(parts)))

    def test_report_of_another_machine(self, kind):
        """
        A QE's report that another machine's PCK signed does not hold.
        """
        parts = sign_report(parts_of(kind), NEIGHBOUR)

        assert REPORT == why(verify(kind, join(parts)))

    def test_signed_again(self, kind):
        """
        Whoever holds all keys can change anything.
        """
        parts = parts_of(kind)
        parts.body = flip(parts.body, -1)
        parts.authentication_data = b""

        raw = join(sign_quote(bind(parts)))

        assert None is why(verify(kind, raw))


class TestAttestationKey:
    @pytest.mark.parametrize(
        "point",
        [
            bytes(64),
            b"\xff" * 64,
            flip(parts_of("v3").key, 63, 0),
            to_point(ec.derive_private_key(7, ec.SECP256K1())),
        ],
        ids=["zero", "beyond the field", "beside the curve", "other curve"],
    )
    def test_off_the_curve(self, kind, point):
        """
        A key that is no point on P-256 is refused where it would be used,
        even if everything else is consistent.
        """
        parts = parts_of(kind)
        parts.key = point

        verdict = verify(kind, join(bind(parts)))

        assert (Step.QUOTE_SIGNATURE, "attestation-key") == why(verdict)

    def test_found_out_late(self, kind):
        """
        That is after the binding, as in QVL.
        """
        parts = parts_of(kind)
        parts.key = bytes(64)

        assert BINDING == why(verify(kind, join(parts)))

    @pytest.mark.parametrize("size", [0, 1, 33, 65535])
    def test_authentication_data(self, kind, size):
        """
        Authentication data may have any size.
        """
        enclave = QuotingEnclave(authentication_data=b"\xa5" * size)

        assert None is why(verify(kind, make(kind, quoting_enclave=enclave)))
