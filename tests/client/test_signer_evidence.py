import dataclasses
import datetime
import json

from typing import Any

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding

from tests import made_amd
from tests.client.maa import SHARED, issued, read, read_token, shared_signers
from tests.client.signing import Maker, digest_key, encode
from tests.intel.quotes_made import INTEL, STRANGER, documents, flip, make
from tests.intel.quotes_made import NOW as INTEL_NOW
from thim.client.signer_evidence import (
    QuoteCheck,
    SnpCheck,
    find_evidence,
)
from thim.client.token import Expectation, verify_token
from thim.errors import UntrustedError
from thim.intel.quote_collateral import Documents
from thim.intel.tcb import TcbStatus
from thim.simulate.amd_pki import Endorsed
from thim.simulate.quote import SgxBody, TdBody
from thim.simulate.snp_body import SnpBody, write_signature


QUOTE = "1.3.6.1.4.1.311.105.1"
SNP = "1.3.6.1.4.1.311.105.1000.1"
KIND = "1.3.6.1.4.1.311.105.1000.2"
BOUND = digest_key(Maker().key) + bytes(32)
DEBUG = b"\x07" + bytes(15)


def certify(oid, value):
    """
    Make a signing certificate with an extension.
    """
    return Maker(extensions=((oid, value),)).certificate


def oe(quote):
    """
    Put Open Enclave's header before a quote.
    """
    size = len(quote).to_bytes(8, "little")
    return b"\1\0\0\0\2\0\0\0" + size + quote


def sgx(**fields):
    """
    An Open Enclave report that is bound to the key.
    """
    return oe(make("v3", body=SgxBody(**{"report_data": BOUND, **fields})))


def snp(**fields):
    """
    Evidence of an SEV-SNP guest as Azure writes it.
    """
    chip = {
        "version": 2,
        "platform_info": 1,
        "chip_id": made_amd.CHIP,
        **{
            f"{name}_tcb": made_amd.TCB.to_bytes()
            for name in ("reported", "committed", "current", "launch")
        },
    }
    body = SnpBody(**{**chip, "report_data": BOUND, **fields}).to_bytes()
    key = made_amd.AMD.endorsement_key(
        Endorsed(tcb=made_amd.TCB, hw_id=made_amd.CHIP)
    )
    signature = key.sign(body, ec.ECDSA(hashes.SHA384()))
    numbers = utils.decode_dss_signature(signature)
    return wrap(body + write_signature(*numbers))


def wrap(report, **more):
    """
    Write a report and its chain as JSON.
    """
    leaf = x509.load_der_x509_certificate(made_amd.vcek())
    chain = leaf.public_bytes(Encoding.PEM) + made_amd.AMD.chain(made_amd.MILAN)
    members = {"SnpReport": encode(report), "VcekCertChain": encode(chain)}
    return json.dumps({**members, **more}).encode()


def find(oid, raw):
    """
    Find the evidence in a certificate that has some.
    """
    found = find_evidence(certify(oid, raw))
    assert found is not None
    return found


def why(call, *arguments, **named):
    """
    Return the reason and the words with which something is distrusted.
    """
    with pytest.raises(UntrustedError) as caught:
        call(*arguments, **named)
    return caught.value.reason, str(caught.value)


def check(raw, now=INTEL_NOW, **settings):
    """
    Verify a quote's evidence with our own Intel's documents.
    """
    quote = QuoteCheck(
        documents=settings.pop("documents", documents("v3")),
        now=now,
        anchors=settings.pop("anchors", INTEL.anchors),
        **settings,
    )
    quote(find(QUOTE, raw))


class TestBinding:
    def test_none(self):
        """
        A certificate without evidence has none.
        """
        assert find_evidence(Maker().certificate) is None

    def test_report(self):
        """
        An Open Enclave report is found.
        """
        found = find(QUOTE, sgx())

        assert "oe-report" == found.evidence.envelope
        assert "sgx-quote-v3" == found.evidence.kind

    def test_quote(self):
        """
        So is a bare quote, such as a TD's.
        """
        quote = make("v4", body=TdBody(report_data=BOUND))

        found = find(QUOTE, quote)

        assert "tdx-quote-v4" == found.evidence.kind

    def test_snp(self):
        """
        And Azure's JSON around an SEV-SNP report.
        """
        found = find(SNP, snp())

        assert "snp-report-v2" == found.evidence.kind
        assert found.vcek_chain.startswith(b"-----BEGIN CERTIFICATE")

    def test_wrapped(self):
        """
        The JSON may be a UTF8String, and hold the quote of a TD.
        """
        quote = make("v4", body=TdBody(report_data=BOUND))
        raw = json.dumps({"TdxQuote": encode(quote)}).encode()
        size = len(raw).to_bytes(2, "big")

        wrapped = b"\x0c\x82" + size + raw
        found = find(SNP, wrapped)

        assert "tdx-quote-v4" == found.evidence.kind
        more = certify(SNP, wrapped + b"!")
        assert "evidence" == why(find_evidence, more)[0]

    @pytest.mark.parametrize(
        "other",
        [
            bytes(64),
            digest_key(Maker(name="other").key) + bytes(32),
            BOUND[:32] + b"\1" + bytes(31),
        ],
        ids=["zeros", "another key", "more behind"],
    )
    def test_other_key(self, other):
        """
        Evidence of another key, or of more than the key, is none of this one.
        """
        for oid, raw in (
            (QUOTE, sgx(report_data=other)),
            (SNP, snp(report_data=other)),
        ):
            reason, _ = why(find_evidence, certify(oid, raw))
            assert "evidence-binding" == reason

    @pytest.mark.parametrize(
        ("oid", "raw"),
        [
            (QUOTE, b""),
            (QUOTE, b"nothing"),
            (QUOTE, oe(b"x" * 500)),
            (SNP, b""),
            (SNP, b"\x0c\x02{}!"),
            (SNP, b"\x0c\x80"),
            (SNP, b'{"TdxQuote": "AAAA"}'),
            (SNP, b"[]"),
            (SNP, b"{}"),
            (SNP, b'{"SnpReport": 7}'),
            (SNP, b'{"SnpReport": "A"}'),
            (SNP, b'{"SnpReport": "AAAA", "SnpReport": "AAAA"}'),
        ],
    )
    def test_unreadable(self, oid, raw):
        """
        Evidence that cannot be read is no reason to look away.
        """
        assert "evidence" == why(find_evidence, certify(oid, raw))[0]

    def test_two(self):
        """
        Nor is evidence of two kinds.
        """
        both = Maker(extensions=((QUOTE, sgx()), (SNP, snp())))

        assert "evidence" == why(find_evidence, both.certificate)[0]


class TestQuote:
    def test_good(self):
        """
        A genuine quote, its TCB up to date, holds.
        """
        check(sgx())

    def test_enclaves(self):
        """
        Which enclave it is can be said, and by whom.
        """
        body = SgxBody()
        good = {
            "mrsigners": frozenset({body.mrsigner}),
            "mrenclaves": frozenset({body.mrenclave}),
        }
        check(sgx(), **good)

        for name in good:
            other = {name: frozenset({bytes(32)})}
            assert name[:-1] in why(check, sgx(), **other)[1]

    def test_not_an_enclave(self):
        """
        A TD is none of the enclaves that are allowed.
        """
        quote = make("v4", body=TdBody(report_data=BOUND))
        settings = {"documents": documents("v4")}
        check(quote, **settings)

        allowed = frozenset({bytes(32)})
        reason, _ = why(
            check, quote, mrsigners=allowed, documents=documents("v4")
        )

        assert "evidence-untrusted" == reason

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"now": INTEL_NOW + datetime.timedelta(days=400)}, "expired"),
            ({"anchors": STRANGER.anchors}, "collateral does not verify"),
            (
                {"statuses": frozenset({TcbStatus.CONFIGURATION_NEEDED})},
                "UpToDate",
            ),
        ],
    )
    def test_refused(self, changes, words):
        """
        What does not hold says why.
        """
        assert words in why(check, sgx(), **changes)[1]

    def test_forged(self):
        """
        A quote that was changed does not hold.
        """
        raw = flip(sgx(), 16 + 48 + 64)

        reason, said = why(check, raw)

        assert "evidence-untrusted" == reason
        assert "TCB status" not in said

    def test_debug(self):
        """
        An enclave that can be looked into keeps no key, unless one says so.
        """
        raw = sgx(attributes=DEBUG)

        assert "debug" in why(check, raw)[1]
        check(raw, dangerous_accept_debug=True)

    def test_report(self):
        """
        It does not verify an SEV-SNP report.
        """
        quote = QuoteCheck(documents=documents("v3"), now=INTEL_NOW)
        evidence = find(SNP, snp())

        assert "expected a quote" in why(quote, evidence)[1]


class TestSnp:
    def check(self, raw, **settings):
        """
        Verify a report's evidence with our own AMD.
        """
        given = {
            "now": made_amd.NOW,
            "crl": made_amd.crl_record().body,
            "anchors": made_amd.AMD.anchors,
        }
        SnpCheck(**{**given, **settings})(find(SNP, raw))

    def test_good(self):
        """
        A genuine report holds, also without a revocation list.
        """
        self.check(snp())
        self.check(snp(), crl=None)
        self.check(snp(), measurements=frozenset({SnpBody().measurement}))

    @pytest.mark.parametrize(
        ("fields", "settings", "words"),
        [
            ({}, {"measurements": frozenset({bytes(48)})}, "measurement"),
            ({"policy": 0x30000 | 1 << 19}, {}, "debugged"),
            ({}, {"anchors": INTEL.anchors}, "does not hold"),
            ({}, {"crl": made_amd.crl_record(made_amd.ASK).body}, "revoked"),
            ({"chip_id": bytes([1]) * 64}, {}, "does not hold"),
        ],
    )
    def test_refused(self, fields, settings, words):
        """
        What does not hold says why.
        """
        assert words in why(self.check, snp(**fields), **settings)[1]

    def test_quote(self):
        """
        It does not verify a quote.
        """
        evidence = find(QUOTE, sgx())
        snp_check = SnpCheck(now=made_amd.NOW)

        assert "expected an SEV-SNP report" in why(snp_check, evidence)[1]


def crl(name):
    """
    Read a revocation list of the corpus as DER.
    """
    pem = read(f"attestation/sgx-2021/{name}.pem")
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


def recorded():
    """
    Collateral of the corpus; its lists are of 2024.
    """
    folder = "attestation/sgx-2021"
    return Documents(
        tcb_info=read(f"{folder}/tcb_info.json"),
        tcb_info_chain=read(f"{folder}/tcb_info_issuer_chain.pem"),
        identity=read(f"{folder}/qe_identity.json"),
        identity_chain=read(f"{folder}/qe_identity_issuer_chain.pem"),
        pck_crl=crl("crl_b"),
        root_ca_crl=crl("crl_a"),
    )


class TestGenuine:
    """What Azure's own signer showed in 2021."""

    now = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)

    def test_holds(self):
        """
        Its key was in a genuine enclave, which was one for debugging; the
        documents at hand have ended by the day of their lists.
        """
        signer, *_ = shared_signers()
        evidence: Any = find_evidence(signer.certificate)
        body = evidence.evidence.quote.body
        good = QuoteCheck(
            documents=recorded(),
            now=self.now,
            mrenclaves=frozenset({body.mrenclave}),
            dangerous_accept_debug=True,
            dangerous_accept_expired=True,
        )
        good(evidence)

        for name, words in (
            ("dangerous_accept_debug", "debug"),
            ("dangerous_accept_expired", "expired"),
        ):
            strict = dataclasses.replace(good, **{name: False})
            assert words in why(strict, evidence)[1]

    def test_token(self):
        """
        A relying party can demand it of a token.
        """
        token = read_token("token_sgx_shared_json")
        expected = Expectation(
            issuer=SHARED,
            require_evidence=True,
            check_evidence=QuoteCheck(
                documents=recorded(),
                now=self.now,
                dangerous_accept_debug=True,
                dangerous_accept_expired=True,
            ),
        )

        claims = verify_token(token, shared_signers(), expected, issued(token))

        assert claims.is_evidence_verified
