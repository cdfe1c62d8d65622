"""
SEV-SNP reports with the key that was sent, and with what a store holds.
"""

import dataclasses
import hashlib

import pytest

from tests.attestation.snp_made import (
    make_chain,
    make_report,
    make_submission,
)
from tests.made_amd import (
    AMD,
    ASK,
    CHIP,
    DAY,
    GENOA,
    MILAN,
    NOW,
    OLD_TCB,
    OTHER_CHIP,
    STRANGER,
    TCB,
    TURIN,
    chain_record,
    crl_record,
    day,
    fill,
    vcek,
    vlek,
)
from tests.services.amd_stores import anchors, keys, ledger, replica, store
from thim.amd.authorities import KeyKind
from thim.amd.tcb import TcbVersion
from thim.attestation.snp_submission import read_snp_submission
from thim.errors import NotFoundError, UnavailableError
from thim.services.snp_verification import list_documents, verify_submission
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import VCEK_YEARS, Role, add_years


__all__ = ["anchors", "keys", "ledger", "replica", "store"]

LEAF = vcek()
REPORT = make_report()
PROVIDER = "a provider"
#: A year after it was issued the list has ended.
LATER = day(0) + 366 * DAY


@pytest.fixture
def verify(replica, keys, anchors):
    """
    Verify what is sent, by what the store holds.
    """

    def go(report=REPORT, chain=None, now=NOW):
        submission = read_snp_submission(make_submission(report, chain))
        return verify_submission(replica, keys, submission, now, anchors)

    return go


def reasons(verified):
    """
    Return what was found.
    """
    return [finding.reason for finding in verified.verdict.findings]


class TestSubmitted:
    def test_authentic(self, ledger, verify):
        """
        With its key and the chain above it a report needs nothing of the store
        but the list.
        """
        ledger.add(crl_record())

        found = verify(chain=make_chain(LEAF))

        assert [] == reasons(found)
        assert TCB == found.verdict.claims.tcbs.reported
        assert () == found.verdict.notes
        assert not found.is_crl_expired
        assert LEAF == found.leaf.der

    def test_not_kept(self, verify, keys):
        """
        What was sent is not kept.
        """
        assert verify(chain=make_chain(LEAF)).verdict.is_authentic

        assert [] == keys.list_chip(CHIP)

    @pytest.mark.parametrize("product", [GENOA, TURIN])
    def test_products(self, verify, product):
        """
        Each product line has its own chain and layout.
        """
        tcb = TcbVersion(product=product, bootloader=7, snp=9, microcode=5)
        hw_id = bytes(range(1, 1 + product.hw_id_size))
        chain = make_chain(vcek(tcb=tcb, hw_id=hw_id), product)

        found = verify(make_report(tcb, hw_id), chain)

        assert [] == reasons(found)
        assert tcb == found.verdict.claims.tcbs.reported

    def test_vlek(self, verify):
        """
        A provider's key may be sent too.
        """
        chain = make_chain(vlek(), role=Role.ASVK)

        found = verify(make_report(csp_id=PROVIDER), chain)

        assert [] == reasons(found)
        assert PROVIDER == found.verdict.claims.csp_id
        assert KeyKind.VLEK is found.leaf.kind

    def test_masked(self, verify):
        """
        A report that does not name its chip can be verified, since its key is
        there.
        """
        report = make_report(chip_id=bytes(64))

        assert [] == reasons(verify(report, make_chain(LEAF)))

    @pytest.mark.parametrize(
        ("report", "leaf", "expected"),
        [
            (
                REPORT,
                vcek(hw_id=OTHER_CHIP),
                ["chip-id-mismatch", "report-signature"],
            ),
            (REPORT, vcek(tcb=OLD_TCB), ["tcb-mismatch", "report-signature"]),
            (REPORT, vcek(is_other=True), ["report-signature"]),
            (
                make_report(cpuid_mod_id=0x11),
                LEAF,
                ["product-mismatch"],
            ),
            (
                make_report(csp_id=PROVIDER),
                LEAF,
                ["signing-key-mismatch", "report-signature"],
            ),
        ],
    )
    def test_misfit(self, verify, report, leaf, expected):
        """
        A key of another chip, TCB or kind did not sign it, and why is said.
        """
        assert expected == reasons(verify(report, make_chain(leaf)))

    def test_changed(self, verify):
        """
        A report that was changed is refused.
        """
        changed = REPORT[:0x90] + b"\1" * 48 + REPORT[0xC0:]

        assert ["report-signature"] == reasons(
            verify(changed, make_chain(LEAF))
        )

    def test_foreign(self, verify):
        """
        A chain behind AMD's names, with another root, is refused; also where
        only its root is AMD's.
        """
        foreign = to_pem(vcek(amd=STRANGER)) + STRANGER.chain(MILAN)
        mixed = (
            to_pem(vcek(amd=STRANGER))
            + to_pem(STRANGER.certificate(MILAN, Role.ASK))
            + to_pem(AMD.certificate(MILAN, Role.ARK))
        )

        assert ["root-not-pinned"] == reasons(verify(chain=foreign))
        assert ["certificate-signature"] == reasons(verify(chain=mixed))

    @pytest.mark.parametrize(
        ("leaf", "chain", "reason"),
        [
            (vlek(), AMD.chain(MILAN), "certificate-issuer"),
            (LEAF, AMD.chain(MILAN, Role.ASVK), "certificate-issuer"),
            (LEAF, AMD.chain(GENOA), "certificate-issuer"),
            (vcek(amd=STRANGER), AMD.chain(MILAN), "certificate-signature"),
        ],
    )
    def test_other_chain(self, verify, leaf, chain, reason):
        """
        A chain of another kind or product line is not the key's.
        """
        assert [reason] == reasons(verify(chain=to_pem(leaf) + chain))

    def test_expired(self, verify):
        """
        A key that has ended signs nothing any more.
        """
        now = add_years(day(0), VCEK_YEARS) + DAY

        assert ["leaf-expired"] == reasons(
            verify(chain=make_chain(LEAF), now=now)
        )

    def test_early(self, verify):
        """
        Nor does one that is not valid yet.
        """
        now = day(0) - DAY

        assert ["leaf-not-yet-valid"] == reasons(
            verify(chain=make_chain(LEAF), now=now)
        )


class TestAlone:
    def test_known_chain(self, ledger, verify):
        """
        Above a key that comes alone there is the chain that the store has.
        """
        ledger.add(chain_record())

        found = verify(chain=to_pem(LEAF))

        assert [] == reasons(found)
        assert AMD.chain(MILAN) == found.leaf.issuer_chain

    def test_unknown_chain(self, ledger, verify):
        """
        Without one nobody can say.
        """
        ledger.add(chain_record(role=Role.ASVK))

        with pytest.raises(NotFoundError, match="Milan's VCEKs") as e:
            verify(chain=to_pem(LEAF))

        assert "unknown-chain" == e.value.reason

    def test_foreign(self, ledger, verify):
        """
        A stranger's key is none of that chain.
        """
        ledger.add(chain_record())

        assert ["certificate-signature"] == reasons(
            verify(chain=to_pem(vcek(amd=STRANGER)))
        )


class TestNothingSent:
    def test_known_key(self, ledger, verify):
        """
        Where no key was sent the store's is taken.
        """
        fill(ledger, LEAF)

        assert [] == reasons(verify())

    def test_unknown_key(self, verify):
        """
        Without one nobody can say.
        """
        with pytest.raises(NotFoundError) as e:
            verify()

        assert "unknown-vcek" == e.value.reason


class TestRevoked:
    def test_revoked(self, ledger, verify):
        """
        The store's list decides about a chain that was sent.
        """
        ledger.add(crl_record(ASK))

        assert ["ask-revoked"] == reasons(verify(chain=make_chain(LEAF)))

    def test_newest(self, ledger, verify):
        """
        The newest one does.
        """
        ledger.add(crl_record())
        ledger.add(crl_record(ASK, issued=1))

        assert ["ask-revoked"] == reasons(verify(chain=make_chain(LEAF)))

    def test_ended(self, ledger, verify):
        """
        What it lists is not good again because it has ended.
        """
        ledger.add(crl_record(ASK))

        found = verify(chain=make_chain(LEAF), now=LATER)

        assert ["ask-revoked"] == reasons(found)
        assert found.is_crl_expired

    def test_ended_without(self, ledger, verify):
        """
        A list that has ended is told.
        """
        ledger.add(crl_record())

        found = verify(chain=make_chain(LEAF), now=LATER)

        assert [] == reasons(found)
        assert found.is_crl_expired
        assert ["crl-missing"] == [n.reason for n in found.verdict.notes]

    def test_missing(self, verify):
        """
        One that is missing is told too.
        """
        found = verify(chain=make_chain(LEAF))

        assert found.crl is None
        assert ["crl-missing"] == [n.reason for n in found.verdict.notes]

    def test_other_kind(self, ledger, verify):
        """
        A list that was published for VLEKs is theirs.
        """
        ledger.add(crl_record(ASK, kind=KeyKind.VLEK))

        assert verify(chain=make_chain(LEAF)).crl is None

    def test_to_come(self, ledger, verify):
        """
        A list of the future is the clock's fault.
        """
        ledger.add(crl_record(issued=20))

        with pytest.raises(UnavailableError) as e:
            verify(chain=make_chain(LEAF), now=day(10))

        assert "not-yet-issued" == e.value.reason

    def test_just_to_come(self, ledger, verify):
        """
        Also one that a clock may be behind by.
        """
        ledger.add(crl_record(issued=20))

        with pytest.raises(UnavailableError) as e:
            verify(chain=make_chain(LEAF), now=day(20) - DAY / 1440)

        assert "not-yet-issued" == e.value.reason

    def test_damaged(self, ledger, replica, keys, anchors):
        """
        A list that another has signed is the store's fault.
        """
        der = STRANGER.crl(MILAN, issued=day(0))
        ledger.add(dataclasses.replace(crl_record(), body=der))
        submission = read_snp_submission(
            make_submission(REPORT, make_chain(LEAF))
        )

        with pytest.raises(UnavailableError, match="does not verify") as e:
            verify_submission(replica, keys, submission, NOW, anchors)

        assert "store-damaged" == e.value.reason


class TestDocuments:
    def test_sent(self, ledger, verify):
        """
        What decided is listed, and no name has the chip in it.
        """
        record = crl_record()
        ledger.add(record)

        bodies = {
            "vcek": LEAF,
            "amd/cert-chain/Milan:vcek/0": AMD.chain(MILAN),
            "amd/crl/Milan:vcek/0": record.body,
        }
        assert {
            name: hashlib.sha256(body).hexdigest()
            for name, body in bodies.items()
        } == list_documents(verify(chain=make_chain(LEAF)))

    def test_held(self, ledger, verify):
        """
        What the store holds is the same by the same names.
        """
        fill(ledger, LEAF)

        assert list_documents(verify()) == list_documents(
            verify(chain=make_chain(LEAF))
        )
