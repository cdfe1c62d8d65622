import hashlib

import pytest

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collateral.intakes import (
    INTEL,
    OTHER,
    SECOND,
    YEAR,
    root_crl,
    take,
)
from tests.intel.documents import inner
from thim.errors import MalformedError, UntrustedError
from thim.intel.authorities import Authority
from thim.intel.names import EnclaveKind, Tee
from thim.simulate.pki import (
    ISSUED,
    LIFETIME,
    ROOT_UNTIL,
    SIGNER_UNTIL,
    SINCE,
    format_date,
)
from thim.x509.chain import CLOCK_SKEW, parse_pem_chain, to_pem


class TestDocument:
    def test_record(self):
        """
        A genuine document becomes a record: its very bytes and their digest,
        its number and dates, its chain, and where and when it came.
        """
        body = INTEL.tcb_info()

        record = take(body, now=ISSUED + YEAR)

        assert body == record.body
        assert hashlib.sha256(inner(body)).digest() == record.signed_sha256
        assert 17 == record.evaluation_number
        assert ISSUED == record.issued
        assert ISSUED + LIFETIME == record.next_update
        assert to_pem([INTEL.signer, INTEL.root]) == record.issuer_chain
        assert "test" == record.source
        assert ISSUED + YEAR == record.fetched == record.verified

    @pytest.mark.parametrize(
        ("body", "key", "number"),
        [
            (INTEL.tcb_info(), "tcb-info/sgx:00606A000000/3", 17),
            (
                INTEL.tcb_info(tee=Tee.TDX, fmspc="90c06f000000", number=19),
                "tcb-info/tdx:90C06F000000/3",
                19,
            ),
            (INTEL.tcb_info(structure=2), "tcb-info/sgx:00606A000000/2", 17),
            (INTEL.tcb_info(structure=1), "tcb-info/sgx:00606A000000/1", None),
            (INTEL.identity(number=20), "identity/qe/2", 20),
            (INTEL.identity(kind=EnclaveKind.TD_QE), "identity/td-qe/2", 17),
            (INTEL.numbers(), "tcb-evaluation-data-numbers/sgx/1", None),
            (
                INTEL.numbers(tee=Tee.TDX),
                "tcb-evaluation-data-numbers/tdx/1",
                None,
            ),
        ],
    )
    def test_keys(self, body, key, number):
        """
        Each kind of document has its key, and its number if it has one.
        """
        record = take(body, now=ISSUED + SECOND)

        assert f"intel/{key}" == str(record.key)
        assert number == record.evaluation_number

    def test_expired_long_ago(self):
        """
        An old document is as welcome as a new one: it is judged at its own
        issue date.
        """
        assert ISSUED == take(INTEL.tcb_info(), now=ROOT_UNTIL + YEAR).issued

    def test_signer_expired_since(self):
        """
        So a signer that was valid then will do, for ever.
        """
        body = INTEL.tcb_info(issued=SIGNER_UNTIL)

        assert SIGNER_UNTIL == take(body, now=SIGNER_UNTIL + YEAR).issued

    @pytest.mark.parametrize("issued", [SINCE - SECOND, SIGNER_UNTIL + SECOND])
    def test_signer_not_valid_at_the_issue_date(self, issued):
        """
        A signer that was not valid at the issue date makes no chain.
        """
        with pytest.raises(UntrustedError, match="no issuer chain") as e:
            take(INTEL.tcb_info(issued=issued), now=ROOT_UNTIL)

        assert "no-issuer-chain" == e.value.reason

    def test_as_early_as_allowed(self):
        """
        Intel's clock may be five minutes ahead of ours.
        """
        assert ISSUED == take(INTEL.identity(), now=ISSUED - CLOCK_SKEW).issued

    def test_not_yet_valid(self):
        """
        A second more, and the document is of the future.
        """
        with pytest.raises(
            UntrustedError, match="2025-06-05T03:43:45Z, wh"
        ) as e:
            take(INTEL.identity(), now=ISSUED - CLOCK_SKEW - SECOND)

        assert "not-yet-valid" == e.value.reason

    @pytest.mark.parametrize("left", [0 * SECOND, -SECOND])
    def test_never_valid(self, left):
        """
        A document whose next update is not after its issue is malformed.
        """
        body = INTEL.tcb_info(
            changes={"nextUpdate": format_date(ISSUED + left)}
        )

        with pytest.raises(MalformedError, match="but next update is") as e:
            take(body)

        assert "date" == e.value.reason

    def test_valid_for_a_second(self):
        """
        One second of validity is enough.
        """
        body = INTEL.tcb_info(next_update=ISSUED + SECOND)

        assert ISSUED + SECOND == take(body).next_update

    def test_malformed(self):
        """
        A document that does not read is refused, genuine or not.
        """
        with pytest.raises(MalformedError, match="tcbType is 1"):
            take(INTEL.tcb_info(changes={"tcbType": 1}))

    def test_one_kind_in_anothers_clothes(self):
        """
        The member's name is not signed: what stands in it must be of its
        kind, although the signature holds.
        """
        body = INTEL.sign("tcbInfo", inner(INTEL.identity()))

        with pytest.raises(MalformedError, match=r"^tcbInfo: "):
            take(body)

    def test_forged(self):
        """
        A signature of a key that is not the signer's is invalid.
        """
        body = INTEL.tcb_info(key=INTEL.key("mallory"))

        with pytest.raises(UntrustedError, match="is not that of any") as e:
            take(body)

        assert "signature-invalid" == e.value.reason

    @pytest.mark.parametrize(
        "known", [(), (INTEL.root,), (INTEL.signer,), INTEL.certificates[2:]]
    )
    def test_chain_missing(self, known):
        """
        Without the signer or the root a document cannot be judged.
        """
        with pytest.raises(UntrustedError, match="TCB Signing' and the r") as e:
            take(INTEL.tcb_info(), known=known)

        assert "no-issuer-chain" == e.value.reason

    def test_foreign(self):
        """
        A whole foreign PKI that came with the document proves nothing.
        """
        known = (*OTHER.certificates, *INTEL.certificates)

        with pytest.raises(UntrustedError, match="is not pinned") as e:
            take(OTHER.tcb_info(), known=known)

        assert "root-untrusted" == e.value.reason

    @settings(max_examples=15)
    @given(st.permutations([*OTHER.certificates, *INTEL.certificates]))
    def test_strangers_in_between(self, known):
        """
        Foreign certificates of the same names do not hide the right ones.
        """
        record = take(INTEL.tcb_info(), known=known)

        assert to_pem([INTEL.signer, INTEL.root]) == record.issuer_chain

    def test_longest_chain(self):
        """
        Of several certificates over the right keys, those that last longest
        of the ones that were valid at the issue date make the chain.
        """
        signer = INTEL.certificate(
            Authority.TCB_SIGNING, until=SIGNER_UNTIL + YEAR
        )
        root = INTEL.certificate(Authority.ROOT, until=ROOT_UNTIL + YEAR)
        later = INTEL.certificate(
            Authority.ROOT, since=ISSUED + SECOND, until=ROOT_UNTIL + 2 * YEAR
        )

        record = take(
            INTEL.tcb_info(), known=[later, *INTEL.certificates, signer, root]
        )

        assert (signer, root) == parse_pem_chain(record.issuer_chain)

    def test_a_former_signer(self):
        """
        The signer whose key made the signature is found, also where there
        is a newer one with another key.
        """
        newer = INTEL.certificate(
            Authority.TCB_SIGNING, since=ISSUED, key=INTEL.key("newer")
        )

        record = take(INTEL.tcb_info(), known=[newer, *INTEL.certificates])

        assert to_pem([INTEL.signer, INTEL.root]) == record.issuer_chain

    def test_signer_revoked(self):
        """
        What a signer that is revoked today has signed is refused, whenever
        that was.
        """
        with pytest.raises(UntrustedError, match="is revoked by") as e:
            take(
                INTEL.tcb_info(issued=ISSUED - YEAR),
                root_crl=root_crl(INTEL.signer),
            )

        assert "revoked" == e.value.reason

    def test_one_certificate_of_the_key_revoked(self):
        """
        A key may have several certificates, with serial numbers of their own:
        one that is not revoked makes the chain.
        """
        revoked = INTEL.certificate(
            Authority.TCB_SIGNING, serial=4711, until=SIGNER_UNTIL + YEAR
        )

        record = take(
            INTEL.tcb_info(),
            known=[revoked, *INTEL.certificates],
            root_crl=root_crl(revoked),
        )

        assert to_pem([INTEL.signer, INTEL.root]) == record.issuer_chain

    def test_another_authority_revoked(self):
        """
        The revocation of a PCK CA leaves the TCB signer alone.
        """
        crl = root_crl(INTEL.platform_ca, INTEL.processor_ca)

        assert ISSUED == take(INTEL.tcb_info(), root_crl=crl).issued

    def test_signer_without_intels_extensions(self):
        """
        A signer that does not fit Intel's profile is malformed.
        """
        bare = INTEL.certificate(
            Authority.TCB_SIGNING,
            without=[x509.CRLDistributionPoints],
        )

        with pytest.raises(MalformedError, match="extension") as e:
            take(INTEL.tcb_info(), known=[bare, INTEL.root])

        assert "certificate-extensions" == e.value.reason
