"""
Quotes that must be refused, and reference quotes about which verifiers differ.
"""

import pytest

from tests.conformance.corpus import instant
from tests.conformance.quotes import (
    entries,
    find,
    judge,
    library,
    read,
    refuse,
    verifier,
)
from thim.intel.quote import CertificationType, Quote
from thim.intel.steps import Step
from thim.intel.tcb import TcbStatus


pytestmark = pytest.mark.usefixtures("corpus")

UNTRUSTED = Step.PCK_CHAIN, "root-untrusted"
SIGNATURE = Step.QUOTE_SIGNATURE, "quote-signature"
NO_CHAIN = Step.PCK_CHAIN, "pck-chain"
#: The quotes that must be refused, by the manifest's reason.
NEGATIVE = {
    # Changed after they were signed.
    "44724863": SIGNATURE,
    "db2148a3": SIGNATURE,
    "8a86fe76": SIGNATURE,
    # Of test machines, under a root that is not Intel's public one.
    "8ccacae8": UNTRUSTED,
    "40c9ef05": UNTRUSTED,
    "1034930b": UNTRUSTED,
    "4dc957d0": UNTRUSTED,
    "6fb27f35": UNTRUSTED,
    "3f49cfeb": UNTRUSTED,
    "4fbd4361": UNTRUSTED,
    # Without a chain: they name their certificate, or are of samples.
    "27298890": NO_CHAIN,
    "27d110d1": NO_CHAIN,
    "2f59d4cb": NO_CHAIN,
    "5042adf0": NO_CHAIN,
    "72a05bf6": NO_CHAIN,
    "8cc428aa": NO_CHAIN,
    "aa2cafad": NO_CHAIN,
    # With base64 that is none.
    "a15cfbbe": NO_CHAIN,
    # Genuine, but in another order: see TestVectors.
    "7d63357d": None,
}
NAMED = {
    CertificationType.PPID_CLEAR: ("27298890", "5042adf0", "8cc428aa"),
    CertificationType.PPID_RSA3072: ("27d110d1", "2f59d4cb", "72a05bf6"),
}


def negative(digest):
    """
    Read one of the quotes that must be refused.
    """
    (entry,) = [
        e for e in entries("negative-quote") if e["name"][-12:-4] == digest
    ]
    return Quote(library().bytes(entry["name"]))


class TestNegative:
    @pytest.mark.parametrize("digest", NEGATIVE)
    def test_refused(self, digest):
        """
        Each is refused at the step that the manifest's reason leads to.
        """
        quote = negative(digest)
        at = instant("2025-01-01T00:00:00Z")

        assert NEGATIVE[digest] == refuse(quote, at)

    def test_all(self):
        """
        Those are all that there are.
        """
        found = {e["name"][-12:-4] for e in entries("negative-quote")}

        assert found == set(NEGATIVE)

    @pytest.mark.parametrize(
        ("kind", "digest"),
        [(k, d) for k, found in NAMED.items() for d in found],
    )
    def test_chain_of_another(self, kind, digest):
        """
        A quote that names its PCK certificate does not verify with the chain
        of another machine.
        """
        quote = negative(digest)
        other = read(find("507f094b")["name"])
        at = instant("2025-01-01T00:00:00Z")

        assert kind is quote.certification_type
        found = refuse(quote, at, other.certification_data)
        assert (Step.QE_REPORT, "qe-report-signature") == found


class TestVectors:
    """
    Where other verifiers differ: reference quotes, by name.
    """

    def row(self, digest, name, at=None):
        """
        Return the verdict of the quote *digest* in the one row that has the
        TCB info *name*, and the row.
        """
        entry = find(digest)
        (row,) = [
            row
            for row in entry["verdicts"]
            if row["tcb_info"] == f"intel/tcb/{name}.json"
            and at in {None, row["now"]}
        ]
        return judge(entry["name"], row), row

    def test_components_of_the_module(self):
        """
        P1: the first two components belong to the module, so the platform is
        up to date (dcap-qvl 0.5 compared all 16, and found it out of date).
        """
        verdict, _ = self.row(
            "00b2526a",
            "tdx/00806f050000/v3-eval17-20250304t1531",
            "2025-03-27T13:26:52Z",
        )

        assert TcbStatus.UP_TO_DATE is verdict.tcb_status

    def test_level_found(self):
        """
        P2, P4: for the same reason there is a level; that the host may inject
        #VE is a fact, and no failure.
        """
        verdict, row = self.row(
            "a187b0da",
            "tdx/00806f050000/v3-eval17-20250304t1531",
            "2025-03-27T13:26:52Z",
        )

        assert TcbStatus.OUT_OF_DATE is verdict.tcb_status
        assert not verdict.quote.body.sept_ve_disable
        assert row["error"].endswith("SEPT_VE_DISABLE is not enabled")

    def test_debug(self):
        """
        P3: an enclave under debug is judged by its TCB.
        """
        verdict, _ = self.row(
            "507f094b",
            "sgx/00906ed50000/v3-eval17-20250527t1931",
            "2025-06-11T19:04:55Z",
        )

        assert TcbStatus.OUT_OF_DATE is verdict.tcb_status
        assert verdict.debug

    def test_service_td(self):
        """
        P5: so is a TD with a service TD bound to it.
        """
        verdict, _ = self.row(
            "d0010db6",
            "tdx/90c06f000000/v3-eval17-20250605t0343",
            "2025-06-20T17:44:45Z",
        )

        assert TcbStatus.UP_TO_DATE is verdict.tcb_status
        assert verdict.service_td is not None

    def test_no_module_identities(self):
        """
        P11: a TCB info without module identities does not know a module of
        version 1.
        """
        _, row = self.row(
            "a187b0da",
            "tdx/00806f050000/v3-eval17-20250304t1531",
            "2025-03-27T13:26:52Z",
        )
        name = "intel/tcb/tdx/00806f050000/v3-eval14-20230209t0719.json"
        signer = library().entries[name]["signer"]
        given = {**row, "tcb_info": name, "tcb_info_issuer": signer}

        verdict = judge(find("a187b0da")["name"], given)

        assert not verdict.is_authentic
        assert Step.MODULE is verdict.failure.step
        assert "tdx-module-unknown" == verdict.failure.reason

    def test_platform_behind_its_module(self):
        """
        G1: a platform that is out of date is so under a module that is not
        (go-tdx-guest accepts it).
        """
        verdict, _ = self.row(
            "ec2858d5",
            "tdx/50806f000000/v3-eval17-20250929t1727",
            "2025-10-14T22:38:39Z",
        )

        assert TcbStatus.OUT_OF_DATE is verdict.tcb_status
        assert TcbStatus.UP_TO_DATE is verdict.tcb.launch.module.status

    def test_order_of_the_chain(self):
        """
        O: a PCK chain in the order leaf, root, intermediate is as good.
        """
        signer = "intel/ca/tcb-signing-20180521-20330521.pem"
        judge = verifier(
            (
                "intel/tcb/sgx/00906ea10000/v2-eval8-20200518t1749.json",
                signer,
                "intel/identity/qe/v2-eval16-20231121t0039.json",
                signer,
                "intel/crl/pck-processor-20231121-n0.der",
                "intel/crl/root-ca-20230403-n0.der",
            )
        )

        verdict = judge.verify(
            negative("7d63357d"), instant("2023-12-06T00:35:00Z")
        )

        assert TcbStatus.OUT_OF_DATE is verdict.tcb_status
        assert verdict.debug
