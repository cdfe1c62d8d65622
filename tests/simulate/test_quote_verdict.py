"""
Quotes as another's verifier, dcap-qvl, judges them, with collateral of the
same Intel.
"""

import dataclasses
import json

import dcap_qvl
import pytest

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.intel.documents import inner
from tests.simulate.quotes import INTEL, KINDS, TDX_KINDS, make, take_apart
from thim.intel.names import EnclaveKind, PckCa, Tee
from thim.simulate.pck import Platform, issue_pck_certificate, pck_chain
from thim.simulate.pki import ISSUED, Intel
from thim.simulate.quote import QuotingEnclave, SgxBody, TdBody15
from thim.x509.chain import to_pem


UP_TO_DATE = Platform()
OUT_OF_DATE = Platform(cpusvn=b"\2" * 16, pcesvn=10)
NOW = int(ISSUED.timestamp()) + 86400


def collateral(
    kind, ca=PckCa.PLATFORM, *, fmspc="00606A000000", identity=None, revoked=()
):
    """
    Collect what INTEL signs for the verification of a quote.
    """
    is_sgx = kind == "v3"
    tcb_info = INTEL.tcb_info(fmspc=fmspc, tee=Tee.SGX if is_sgx else Tee.TDX)
    qe_identity = INTEL.identity(
        kind=EnclaveKind.QE if is_sgx else EnclaveKind.TD_QE, changes=identity
    )
    chain = to_pem([INTEL.signer, INTEL.root]).decode()
    _, issuer, root = pck_chain(INTEL, Platform(ca=ca))
    return dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=to_pem([issuer, root]).decode(),
        root_ca_crl=INTEL.root_crl(),
        pck_crl=INTEL.pck_crl(ca=ca, revoked=revoked),
        tcb_info_issuer_chain=chain,
        tcb_info=inner(tcb_info).decode(),
        tcb_info_signature=signature_of(tcb_info),
        qe_identity_issuer_chain=chain,
        qe_identity=inner(qe_identity).decode(),
        qe_identity_signature=signature_of(qe_identity),
    )


def signature_of(body):
    """
    Return the signature in a signed document.
    """
    return bytes.fromhex(json.loads(body)["signature"])


def judge(quote, with_collateral):
    """
    Ask dcap-qvl for the status.
    """
    root = INTEL.root.public_bytes(Encoding.DER)
    verified = dcap_qvl.verify_with_root_ca(quote, with_collateral, root, NOW)
    return verified.status


@pytest.fixture(params=KINDS)
def kind(request):
    """
    One kind of quote after the other.
    """
    return request.param


class TestVerdict:
    @pytest.mark.parametrize("ca", PckCa)
    @pytest.mark.parametrize(
        ("platform", "expected"),
        [(UP_TO_DATE, "UpToDate"), (OUT_OF_DATE, "OutOfDate")],
        ids=["UpToDate", "OutOfDate"],
    )
    def test_status(self, kind, platform, expected, ca):
        """
        Dcap-qvl finds the quote authentic, with the status that the levels
        give to the platform.
        """
        platform = dataclasses.replace(platform, ca=ca)

        status = judge(make(kind, platform), collateral(kind, ca))

        assert expected == status

    def test_other_fmspc(self, kind):
        """
        A platform is judged by the TCB info of its own FMSPC.
        """
        platform = Platform(fmspc=bytes.fromhex("00906ED50000"))
        quote = make(kind, platform)

        assert "UpToDate" == judge(
            quote, collateral(kind, fmspc="00906ED50000")
        )
        with pytest.raises(ValueError, match=r"(?i)fmspc mismatch"):
            judge(quote, collateral(kind))

    def test_beneath_all_levels(self, kind):
        """
        A platform beneath all levels has no status.
        """
        platform = Platform(cpusvn=b"\1" * 16)

        with pytest.raises(ValueError, match="No matching TCB level"):
            judge(make(kind, platform), collateral(kind))

    @pytest.mark.parametrize(
        ("cpusvn", "components", "expected"),
        [(4, 2, "UpToDate"), (2, 4, "OutOfDate")],
    )
    def test_components_differ(self, kind, cpusvn, components, expected):
        """
        Dcap-qvl takes the SVNs from the certificate's CPUSVN: where its
        components differ it is no oracle for Intel, which compares those.
        """
        platform = Platform(
            cpusvn=bytes([cpusvn] * 16), components=bytes([components] * 16)
        )

        status = judge(make(kind, platform), collateral(kind))

        assert expected == status

    def test_cpusvn_of_the_report(self):
        """
        The CPUSVN in an SGX report may be another than the certificate's.
        """
        quote = make("v3", UP_TO_DATE, SgxBody(cpusvn=bytes(16)))

        assert "UpToDate" == judge(quote, collateral("v3"))

    def test_quoting_enclave_out_of_date(self, kind):
        """
        A quoting enclave that is out of date makes the quote out of date.
        """
        quote = make(kind, UP_TO_DATE, quoting_enclave=QuotingEnclave(isvsvn=6))

        assert "OutOfDate" == judge(quote, collateral(kind))

    def test_another_quoting_enclave(self, kind):
        """
        A quoting enclave is accepted by the identity that is its own, and by
        no other.
        """
        enclave = QuotingEnclave(mrsigner=b"\xdc" * 32, isvprodid=2)
        quote = make(kind, UP_TO_DATE, quoting_enclave=enclave)
        identity = {"mrsigner": "DC" * 32, "isvprodid": 2}

        assert "UpToDate" == judge(quote, collateral(kind, identity=identity))
        with pytest.raises(ValueError, match="MRSIGNER"):
            judge(quote, collateral(kind))

    @pytest.mark.parametrize("kind", TDX_KINDS)
    @pytest.mark.parametrize(
        ("svn", "expected"),
        [
            ([4, 1], "UpToDate"),
            ([2, 1], "OutOfDate"),
            ([3, 3], "UpToDate"),
        ],
    )
    def test_tdx_module(self, kind, svn, expected):
        """
        The module is judged by its SVN and version, the first bytes of
        TEE_TCB_SVN.
        """
        tee_tcb_svn = bytes(svn) + b"\5" * 14
        body = KINDS[kind][1](tee_tcb_svn=tee_tcb_svn)
        if isinstance(body, TdBody15):
            body = dataclasses.replace(body, tee_tcb_svn_2=tee_tcb_svn)

        status = judge(make(kind, UP_TO_DATE, body), collateral(kind))

        assert expected == status

    def test_relaunch_advised(self):
        """
        A domain that was launched under an old module, and runs under a new
        one, had better be launched again.
        """
        body = TdBody15(tee_tcb_svn=bytes([2, 1]) + b"\5" * 14)
        kind = "v5, TD 1.5"

        status = judge(make(kind, UP_TO_DATE, body), collateral(kind))

        assert "TDRelaunchAdvised" == status

    def test_revoked(self, kind):
        """
        A platform whose certificate is on the CRL is refused.
        """
        serial = issue_pck_certificate(INTEL, UP_TO_DATE).serial_number
        quote = make(kind, UP_TO_DATE)

        with pytest.raises(ValueError, match=r"(?i)revoked"):
            judge(quote, collateral(kind, revoked=[serial]))

    def test_stranger(self, kind):
        """
        A quote under another Intel's root is refused.
        """
        function, body_class = KINDS[kind]
        quote = function(Intel("other"), UP_TO_DATE, body_class())

        with pytest.raises(ValueError, match=r"(?i)certificate"):
            judge(quote, collateral(kind))

    @settings(max_examples=100, deadline=None)
    @given(st.sampled_from(sorted(KINDS)), st.data())
    def test_flipped_bit(self, kind, data):
        """
        A quote with one bit flipped in header or body is refused.
        """
        quote = bytearray(make(kind, UP_TO_DATE))
        signed = len(take_apart(bytes(quote)).signed)
        bit = data.draw(st.integers(0, 8 * signed - 1))
        quote[bit // 8] ^= 1 << bit % 8

        with pytest.raises(ValueError, match=r"."):
            judge(bytes(quote), collateral(kind))
