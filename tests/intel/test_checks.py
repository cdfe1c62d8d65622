"""
What fits together: platform and TCB info, TD and TDX module, QE and identity.
Everything is signed as it should be, so that nothing else can fail.
"""

import pytest

from tests.intel.quotes_made import (
    INTEL,
    KINDS,
    TDX_KINDS,
    bind,
    flip,
    join,
    make,
    make_td,
    parts_of,
    sign_quote,
    sign_report,
    verify,
    why,
)
from thim.intel.names import Tee
from thim.intel.steps import Step, StepError
from thim.simulate.pck import Platform
from thim.simulate.quote import QuotingEnclave


#: Of the identity: MODE64BIT is free, and so is all of XFRM.
ATTRIBUTES = "11000000000000000000000000000000"
MASK = "FBFFFFFFFFFFFFFF0000000000000000"
MRSIGNER = "8C4F5775D796503E96137F77C68A829A0056AC8DED70140B081B094490C57BFF"


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestPlatform:
    def test_fmspc(self, kind):
        """
        The TCB info of another family is refused.
        """
        verdict = verify(kind, tcb_info={"fmspc": "00906ED50000"})

        assert (Step.PLATFORM, "tcb-info-fmspc") == why(verdict)
        found = verdict.failure
        assert ("00906ED50000", "00606A000000") == (found.found, found.needed)

    @pytest.mark.parametrize("at", range(12))
    def test_fmspc_digit(self, at):
        """
        Each digit counts.
        """
        digits = "00606A000000"
        other = f"{digits[:at]}F{digits[at + 1 :]}"

        verdict = verify("v3", tcb_info={"fmspc": other})

        assert (Step.PLATFORM, "tcb-info-fmspc") == why(verdict)

    def test_case(self, kind):
        """
        Its hexadecimal digits may have any case.
        """
        assert None is why(verify(kind, tcb_info={"fmspc": "00606a000000"}))

    def test_pce_id(self, kind):
        """
        So is that of another PCE.
        """
        verdict = verify(kind, tcb_info={"pceId": "0001"})

        assert (Step.PLATFORM, "tcb-info-pce-id") == why(verdict)

    def test_both_of_another_pce(self, kind):
        """
        What counts is that TCB info and PCK certificate have the same.
        """
        raw = make(kind, Platform(pce_id=b"\xab\xcd"))

        assert None is why(verify(kind, raw, tcb_info={"pceId": "abCD"}))
        found = why(verify(kind, raw))
        assert (Step.PLATFORM, "tcb-info-pce-id") == found

    @pytest.mark.parametrize("kind", TDX_KINDS)
    def test_tee(self, kind):
        """
        A TD on a machine is not judged by the machine's SGX collateral, nor
        an enclave by that of TDX.
        """
        tee = Step.PLATFORM, "tcb-info-tee"

        assert tee == why(verify("v3", make(kind)))
        assert tee == why(verify(kind, make("v3")))

    def test_tee_of_the_tcb_info(self, kind):
        """
        A TCB info of the other TEE does not fit the quoting enclave.
        """
        other = Tee.TDX if kind == "v3" else Tee.SGX

        with pytest.raises(StepError, match="identity is that of") as e:
            verify(kind, tcb_info=INTEL.tcb_info(tee=other))

        assert "qe-id" == e.value.reason


def module(mrsigner="00", attributes="00", mask="FF"):
    """
    Write what a TCB info says of the TDX module.
    """
    return {
        "mrsigner": mrsigner * 48,
        "attributes": attributes * 8,
        "attributesMask": mask * 8,
    }


def identities(*named, **parts):
    """
    Write the identities of TDX modules, all alike.
    """
    level = {
        "tcb": {"isvsvn": 1},
        "tcbDate": "2024-03-13T00:00:00Z",
        "tcbStatus": "UpToDate",
    }
    return [
        {"id": name, **module(**parts), "tcbLevels": [level]} for name in named
    ]


@pytest.mark.parametrize("kind", TDX_KINDS)
class TestModule:
    def test_unknown(self, kind):
        """
        A module of a version that the TCB info does not know is refused, and
        the finding says which one it knows.
        """
        changes = {"tdxModuleIdentities": identities("TDX_03", "TDX_0A")}

        verdict = verify(kind, tcb_info=changes)

        assert (Step.MODULE, "tdx-module-unknown") == why(verdict)
        found = verdict.failure
        assert ("TDX_01", "TDX_03 or TDX_0A") == (found.found, found.needed)

    def test_none_known(self, kind):
        """
        Where the TCB info names no modules, those of version 0 are all that
        it knows.
        """
        verdict = verify(kind, tcb_info={"tdxModuleIdentities": None})

        assert (Step.MODULE, "tdx-module-unknown") == why(verdict)
        assert "a module of version 0" == verdict.failure.needed

    def test_known_in_any_case(self, kind):
        """
        The version is in hexadecimal, and its case means nothing.
        """
        raw = make_td(kind, tee_tcb_svn=bytes([5, 0xAB]) + b"\5" * 14)
        changes = {"tdxModuleIdentities": identities("tdx_aB")}

        assert None is why(verify(kind, raw, tcb_info=changes))

    def test_mrsignerseam(self, kind):
        """
        Who signed the module must be whom its own identity names.
        """
        raw = make_td(kind, mrsignerseam=b"\x5a" * 48)
        right = {"tdxModuleIdentities": identities("TDX_01", mrsigner="5a")}
        wrong = {"tdxModule": module("5a")}
        reason = Step.MODULE, "tdx-module-mrsignerseam"

        assert None is why(verify(kind, raw, tcb_info=right))
        assert reason == why(verify(kind, raw, tcb_info=wrong))
        assert reason == why(verify(kind, tcb_info=right))

    def test_mrsignerseam_of_version_0(self, kind):
        """
        For a module of version 0 it is whom the TCB info names as such.
        """
        raw = make_td(
            kind, tee_tcb_svn=b"\5\0" + b"\5" * 14, mrsignerseam=b"\x5a" * 48
        )
        wrong = {"tdxModuleIdentities": identities("TDX_01", mrsigner="5a")}

        found = verify(kind, raw, tcb_info={"tdxModule": module("5a")})

        assert None is why(found)
        reason = Step.MODULE, "tdx-module-mrsignerseam"
        assert reason == why(verify(kind, raw, tcb_info=wrong))

    @pytest.mark.parametrize(
        ("body", "attributes", "mask"),
        [
            (b"\1" * 8, "00", "FF"),
            (b"\1" * 8, "00", "00"),
            (b"\1" * 8, "01", "FF"),
            (bytes(8), "01", "FF"),
            (bytes(8), "01", "00"),
        ],
    )
    def test_seamattributes(self, kind, body, attributes, mask):
        """
        The module's attributes must be zero and equal, whatever the mask.
        """
        raw = make_td(kind, seam_attributes=body)
        given = identities("TDX_01", attributes=attributes, mask=mask)

        verdict = verify(kind, raw, tcb_info={"tdxModuleIdentities": given})

        assert (Step.MODULE, "tdx-module-seamattributes") == why(verdict)

    def test_mrseam(self, kind):
        """
        The module's measurement is compared with nothing.
        """
        assert None is why(verify(kind, make_td(kind, mrseam=b"\x77" * 48)))


def test_module_that_runs_now():
    """
    Only the module that a TD was launched under is looked at: without levels
    for today's, the quote is authentic, and has no status.
    """
    raw = make_td("v5", tee_tcb_svn_2=b"\5\x09" + b"\5" * 14)

    verdict = verify("v5", raw)

    assert None is why(verdict)
    assert None is verdict.tcb_status


class TestBinding:
    def test_second_half(self, kind):
        """
        As in QVL, the second half of the QE's report data may be anything.
        """
        parts = bind(parts_of(kind))
        parts.qe_report = flip(parts.qe_report, -1)

        assert None is why(verify(kind, join(sign_report(parts))))

    @pytest.mark.parametrize("at", [320, 351])
    def test_first_half(self, kind, at):
        """
        The first half is the digest, to the last bit.
        """
        parts = parts_of(kind)
        parts.qe_report = flip(parts.qe_report, at, 0)

        verdict = verify(kind, join(sign_report(parts)))

        step = Step.ATTESTATION_KEY, "attestation-key-binding"
        assert step == why(verdict)
        assert verdict.failure.found != verdict.failure.needed

    def test_key_and_data(self, kind):
        """
        The digest is over the key first and the authentication data next:
        a byte cannot move from one to the other.
        """
        parts = parts_of(kind)
        parts.authentication_data = parts.key[-1:] + parts.authentication_data
        parts.key = b"\0" + parts.key[:-1]

        verdict = verify(kind, join(sign_quote(parts)))

        assert Step.ATTESTATION_KEY is why(verdict)[0]


class TestQuotingEnclave:
    @pytest.mark.parametrize(
        ("enclave", "reason", "found"),
        [
            ({"miscselect": b"\1\0\0\0"}, "qe-miscselect", "01000000"),
            ({"miscselect": b"\0\0\0\x80"}, "qe-miscselect", "00000080"),
            (
                {"attributes": b"\x13" + bytes(15)},
                "qe-attributes",
                "13" + "00" * 15,
            ),
            (
                {"attributes": b"\1" + bytes(15)},
                "qe-attributes",
                "01" + "00" * 15,
            ),
            ({"mrsigner": b"\x8c" * 32}, "qe-mrsigner", "8c" * 32),
            ({"isvprodid": 2}, "qe-isvprodid", "2"),
            ({"isvprodid": 0x0101}, "qe-isvprodid", "257"),
        ],
    )
    def test_another(self, kind, enclave, reason, found):
        """
        A genuine enclave that is not Intel's quoting enclave may not quote:
        one under debug, or of another signer or product.
        """
        raw = make(kind, quoting_enclave=QuotingEnclave(**enclave))

        verdict = verify(kind, raw)

        assert (Step.QE_IDENTITY, reason) == why(verdict)
        assert found == verdict.failure.found

    @pytest.mark.parametrize(
        ("identity", "reason"),
        [
            ({"miscselect": "01000000"}, "qe-miscselect"),
            ({"attributes": "13" + ATTRIBUTES[2:]}, "qe-attributes"),
            ({"attributes": "11" + "80" + ATTRIBUTES[4:]}, "qe-attributes"),
            ({"mrsigner": "00" + MRSIGNER[2:]}, "qe-mrsigner"),
            ({"mrsigner": MRSIGNER[:-1] + "E"}, "qe-mrsigner"),
            ({"isvprodid": 2}, "qe-isvprodid"),
            ({"isvprodid": 256}, "qe-isvprodid"),
            # Only the report is masked: such an identity fits nothing.
            (
                {"miscselect": "01000000", "miscselectMask": "FEFFFFFF"},
                "qe-miscselect",
            ),
            ({"attributes": ATTRIBUTES[:-1] + "1"}, "qe-attributes"),
        ],
    )
    def test_another_identity(self, kind, identity, reason):
        """
        Each member of the identity is compared.
        """
        verdict = verify(kind, identity=identity)

        assert (Step.QE_IDENTITY, reason) == why(verdict)

    def test_first_of_all(self, kind):
        """
        Where all are wrong, the first is told.
        """
        wrong = {
            "miscselect": "01000000",
            "attributes": "13" + ATTRIBUTES[2:],
            "mrsigner": "00" * 32,
            "isvprodid": 2,
        }
        reasons = []
        while wrong:
            reasons.append(why(verify(kind, identity=wrong))[1])
            del wrong[next(iter(wrong))]

        names = ("miscselect", "attributes", "mrsigner", "isvprodid")
        assert [f"qe-{name}" for name in names] == reasons

    def test_mask(self):
        """
        A bit of the attributes counts where the mask has it: all 128 of them.
        """
        mask = int(MASK, 16)
        good = bytes.fromhex(ATTRIBUTES)
        for bit in range(128):
            other = int.from_bytes(good) ^ 1 << bit
            enclave = QuotingEnclave(attributes=other.to_bytes(16))
            found = why(verify("v3", make("v3", quoting_enclave=enclave)))
            counts = bool(mask >> bit & 1)
            assert counts == (found == (Step.QE_IDENTITY, "qe-attributes"))
            assert counts == (found is not None)

    @pytest.mark.parametrize(
        ("enclave", "identity"),
        [
            ({"miscselect": b"\xff" * 4}, {"miscselectMask": "00000000"}),
            (
                {"miscselect": b"\x12\x34\x56\x78"},
                {"miscselect": "12345678"},
            ),
            ({"mrsigner": b"\x5a" * 32}, {"mrsigner": "5a" * 32}),
            ({"isvprodid": 0x0201}, {"isvprodid": 0x0201}),
            ({"mrenclave": b"\x5a" * 32}, {}),
        ],
    )
    def test_as_the_identity_has_it(self, kind, enclave, identity):
        """
        Values are compared in memory order, under their masks; MRENCLAVE is
        not compared at all.
        """
        raw = make(kind, quoting_enclave=QuotingEnclave(**enclave))

        assert None is why(verify(kind, raw, identity=identity))
