"""
The PCK chain of a quote, and the lists of its CAs: steps 2 to 4.
"""

import datetime
import itertools

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.intel.quotes_made import (
    CHAIN,
    INTEL,
    KINDS,
    NEIGHBOUR,
    NOW,
    PLATFORM,
    SECOND,
    STRANGER,
    chain_pem,
    flip,
    make,
    tampered,
    verify,
    why,
    without_extension,
)
from thim.intel.authorities import Authority
from thim.intel.names import PckCa
from thim.intel.pck_chain import (
    read_pck,
    verify_pck_chain,
)
from thim.intel.steps import Step, StepError
from thim.simulate.pck import Platform, issue_pck_certificate, pck_key
from thim.x509.chain import to_pem
from thim.x509.crl import Crl


LEAF = issue_pck_certificate(INTEL, PLATFORM)
CHAIN_OF_THREE = (LEAF, INTEL.platform_ca, INTEL.root)
DAY = datetime.timedelta(days=1)
ISSUER = Step.PCK_CHAIN, "issuer"
UNTRUSTED = Step.PCK_CHAIN, "root-untrusted"


def judge(pem=None, now=NOW, *, pck_crl=None, root_ca_crl=None):
    """
    Verify a PCK chain, the good one by default.
    """
    return verify_pck_chain(
        chain_pem() if pem is None else pem,
        pck_crl=Crl.from_der(pck_crl or INTEL.pck_crl()),
        root_ca_crl=Crl.from_der(root_ca_crl or INTEL.root_crl()),
        anchors=INTEL.anchors,
        now=now,
    )


def _told(chain):
    # What a message says of a chain that is not made of the right three.
    if len(chain) != 3:
        return f"has {len(chain)} certificates, expected 3"
    return "is made of .*, expected a PCK certificate, its CA and the root"


def refused(*args, **kwargs):
    """
    Say at which step such a chain is refused, and why.
    """
    with pytest.raises(StepError) as e:
        judge(*args, **kwargs)
    assert e.value.reason == e.value.finding.reason
    return e.value.finding.step, e.value.reason


class TestForm:
    @pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
    def test_order(self, order):
        """
        The certificates may stand in any order.
        """
        pem = to_pem([CHAIN_OF_THREE[i] for i in order])

        assert PLATFORM.ppid == judge(pem).pck.ppid
        assert PLATFORM.ppid == read_pck(pem).ppid

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        "pem",
        [
            to_pem([LEAF, INTEL.root, INTEL.platform_ca]),
            to_pem([INTEL.root, LEAF, INTEL.platform_ca]) + b"\0",
            chain_pem() + b"\0",
            chain_pem().removesuffix(b"\n"),
            chain_pem().removesuffix(b"\n") + b"\0",
            chain_pem().replace(b"\n", b"\r\n"),
        ],
        ids=["order", "order, NUL", "NUL", "no end", "no end, NUL", "CR"],
    )
    def test_in_a_quote(self, kind, pem):
        """
        A quote verifies with its chain in any order, with or without newline
        and one NUL behind it.
        """
        raw = make(kind, certification_data=pem)

        assert None is why(verify(kind, raw))

    @pytest.mark.parametrize(
        "pem",
        [
            b"",
            b"\0",
            chain_pem() + b"\0\0",
            chain_pem() + b"\n",
            chain_pem() + b" ",
            chain_pem() + b"more",
            b"more\n" + chain_pem(),
            b"\0" + chain_pem(),
            chain_pem().replace(b"\n", b"\n\0", 1),
            to_pem([LEAF]) + b"more\n" + to_pem(CHAIN_OF_THREE[1:]),
            chain_pem()[:-30],
            b"".join(c.public_bytes(Encoding.DER) for c in CHAIN_OF_THREE),
        ],
    )
    def test_other_text(self, pem):
        """
        Nothing else may stand before, between or behind the certificates.
        """
        assert CHAIN == refused(pem)

    @pytest.mark.parametrize(
        "chain",
        [
            [LEAF],
            [INTEL.root],
            [LEAF, INTEL.root],
            [LEAF, INTEL.platform_ca],
            [INTEL.platform_ca, INTEL.root],
            [*CHAIN_OF_THREE, INTEL.signer],
            [*CHAIN_OF_THREE, INTEL.root],
            [LEAF, *CHAIN_OF_THREE],
            [LEAF, LEAF, INTEL.root],
            [LEAF, INTEL.root, INTEL.root],
            [LEAF, INTEL.platform_ca, INTEL.platform_ca],
            [INTEL.processor_ca, INTEL.platform_ca, INTEL.root],
            [LEAF, LEAF, INTEL.platform_ca],
            [*CHAIN_OF_THREE] * 2,
        ],
        ids=lambda chain: f"{len(chain)}",
    )
    def test_other_certificates(self, chain):
        """
        Three certificates are needed: one PCK certificate, one CA, one root.
        """
        with pytest.raises(StepError, match=_told(chain)) as e:
            read_pck(to_pem(chain))

        assert CHAIN == (e.value.finding.step, e.value.reason)
        assert CHAIN == refused(to_pem(chain))

    def test_no_certificate(self):
        """
        What has the form of a certificate, and is none, is refused.
        """
        pem = chain_pem().replace(b"MII", b"NII", 1)

        step, _ = refused(pem)

        assert Step.PCK_CHAIN is step

    def test_no_pck_certificate(self):
        """
        A certificate of TCB Signing is none of a platform.
        """
        pem = to_pem([INTEL.signer, *CHAIN_OF_THREE[1:]])

        assert (Step.PCK_CHAIN, "certificate-subject") == refused(pem)
        with pytest.raises(StepError, match="TCB Signing"):
            read_pck(pem)


class TestSignatures:
    @pytest.mark.parametrize("i", range(3), ids=["leaf", "CA", "root"])
    def test_changed(self, i):
        """
        A changed certificate is not issued by the one above it.
        """
        chain = list(CHAIN_OF_THREE)
        chain[i] = tampered(chain[i])

        assert ISSUER == refused(to_pem(chain))

    @pytest.mark.parametrize(
        ("chain", "step"),
        [
            ([LEAF, INTEL.platform_ca, STRANGER.root], UNTRUSTED),
            ([LEAF, STRANGER.platform_ca, INTEL.root], ISSUER),
            (
                [
                    issue_pck_certificate(STRANGER, PLATFORM),
                    INTEL.platform_ca,
                    INTEL.root,
                ],
                ISSUER,
            ),
            ([LEAF, INTEL.processor_ca, INTEL.root], ISSUER),
        ],
        ids=["root", "CA", "leaf", "Processor CA"],
    )
    def test_foreign(self, chain, step):
        """
        A certificate with the right name is not enough.
        """
        assert step == refused(to_pem(chain))

    def test_foreign_root(self):
        """
        A whole chain of another Intel does not end in the pinned key.
        """
        assert UNTRUSTED == refused(chain_pem(intel=STRANGER))

    def test_another_certificate_of_the_root(self):
        """
        The root's key is pinned, and not its certificate.
        """
        root = INTEL.certificate(Authority.ROOT, until=NOW + DAY, serial=7)

        chain = judge(to_pem([LEAF, INTEL.platform_ca, root]))

        assert NOW + DAY == chain.not_after

    def test_processor_ca(self):
        """
        Platforms of the processor CA have its list.
        """
        platform = Platform(ca=PckCa.PROCESSOR)

        chain = judge(
            chain_pem(platform), pck_crl=INTEL.pck_crl(ca=PckCa.PROCESSOR)
        )

        assert PckCa.PROCESSOR is chain.pck.ca

    def test_not_a_ca(self):
        """
        The CA's certificate must be one of a CA.
        """
        ca = INTEL.certificate(Authority.PCK_PLATFORM, is_ca=False)

        found = refused(to_pem([LEAF, ca, INTEL.root]))

        assert (Step.PCK_CHAIN, "not-a-ca") == found

    @pytest.mark.parametrize("i", [1, 2], ids=["CA", "root"])
    def test_without_extension(self, i):
        """
        Each certificate has the five extensions of Intel's profile.
        """
        chain = list(CHAIN_OF_THREE)
        authority = (Authority.PCK_PLATFORM, Authority.ROOT)[i - 1]
        chain[i] = INTEL.certificate(
            authority, without=[x509.AuthorityKeyIdentifier]
        )

        found = refused(to_pem(chain))

        assert (Step.PCK_CHAIN, "certificate-extensions") == found

    def test_leaf_without_extension(self):
        """
        So has the PCK certificate, signed or not.
        """
        key_usage = bytes.fromhex("0603551D0F")
        leaf = without_extension(LEAF, key_usage)

        found = refused(to_pem([leaf, *CHAIN_OF_THREE[1:]]))

        assert (Step.PCK_CHAIN, "certificate-extensions") == found

    def test_key_of_another_kind(self):
        """
        The PCK must be on P-256.
        """
        leaf = issue_pck_certificate(
            INTEL, PLATFORM, key=ec.derive_private_key(5, ec.SECP384R1())
        )

        found = refused(chain_pem(leaf=leaf))

        assert (Step.PCK_CHAIN, "key-kind") == found

    def test_key(self):
        """
        The key is the leaf's.
        """
        chain = judge()

        assert pck_key(INTEL, PLATFORM).public_key() == chain.key
        assert CHAIN_OF_THREE[1:] == chain.authorities


class TestDates:
    """
    Of the leaf, the CA or the root: none may have ended, or not begun.
    """

    SINCE, UNTIL = NOW - 3 * DAY, NOW + 3 * DAY

    @pytest.fixture(params=["leaf", "CA", "root"])
    def pem(self, request):
        """
        A chain, one certificate of which lives for six days.
        """
        dates = {"since": self.SINCE, "until": self.UNTIL}
        leaf, ca, root = CHAIN_OF_THREE
        if request.param == "leaf":
            leaf = issue_pck_certificate(INTEL, PLATFORM, **dates)
        elif request.param == "CA":
            ca = INTEL.certificate(Authority.PCK_PLATFORM, **dates)
        else:
            root = INTEL.certificate(Authority.ROOT, **dates)
        return to_pem([leaf, ca, root])

    def test_within(self, pem):
        """
        It is valid from its first instant to its last, and remembers them.
        """
        chain = judge(pem)

        assert (self.SINCE, self.UNTIL) == (chain.not_before, chain.not_after)
        for now in (self.SINCE, NOW, self.UNTIL):
            assert chain.holds(now)
            assert chain == judge(pem, now)

    @pytest.mark.parametrize(
        ("now", "reason"),
        [
            (NOW - 3 * DAY - SECOND, "certificate-early"),
            (NOW + 3 * DAY + SECOND, "certificate-dates"),
        ],
    )
    def test_outside(self, pem, now, reason):
        """
        One second before or after, it is refused.
        """
        assert not judge(pem).holds(now)
        assert (Step.PCK_CHAIN, reason) == refused(pem, now)


class TestLists:
    @pytest.mark.parametrize(
        ("lists", "reason"),
        [
            ({"pck_crl": INTEL.pck_crl(ca=PckCa.PROCESSOR)}, "issuer"),
            ({"pck_crl": INTEL.root_crl()}, "issuer"),
            ({"pck_crl": STRANGER.pck_crl()}, "signature-invalid"),
            ({"pck_crl": flip(INTEL.pck_crl(), -1, 0)}, "signature-invalid"),
            ({"root_ca_crl": INTEL.pck_crl()}, "issuer"),
            ({"root_ca_crl": STRANGER.root_crl()}, "signature-invalid"),
            (
                {"root_ca_crl": flip(INTEL.root_crl(), -1, 0)},
                "signature-invalid",
            ),
        ],
    )
    def test_foreign(self, lists, reason):
        """
        The lists are those of the chain's own CAs, and signed by them.
        """
        assert (Step.CRLS, reason) == refused(**lists)

    def test_pck_revoked(self):
        """
        The PCK certificate may not be on the CA's list; others may.
        """
        neighbour = issue_pck_certificate(INTEL, NEIGHBOUR).serial_number
        others = [neighbour, INTEL.platform_ca.serial_number]
        judge(pck_crl=INTEL.pck_crl(revoked=others))

        revoked = INTEL.pck_crl(revoked=[LEAF.serial_number])

        assert (Step.REVOCATION, "pck-revoked") == refused(pck_crl=revoked)

    def test_ca_revoked(self):
        """
        Nor may the CA be on the root's; others may.
        """
        others = [LEAF.serial_number, INTEL.processor_ca.serial_number]
        judge(root_ca_crl=INTEL.root_crl(revoked=others))

        serial = INTEL.platform_ca.serial_number
        found = refused(root_ca_crl=INTEL.root_crl(revoked=[serial]))

        assert (Step.REVOCATION, "revoked") == found
