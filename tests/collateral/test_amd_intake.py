import dataclasses
import datetime
import hashlib

import pytest

from cryptography import x509

from tests.made_amd import (
    AMD,
    CHIP,
    DAY,
    GENOA,
    MILAN,
    NOW,
    STRANGER,
    TURIN,
    day,
    intake,
    vcek,
    vlek,
)
from thim.amd.authorities import CaChain, KeyKind
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.tcb import TcbVersion
from thim.collateral.amd_intake import (
    verify_amd_crl,
    verify_cert_chain,
    verify_endorsement,
)
from thim.collateral.amd_keys import amd_crl_key, cert_chain_key
from thim.errors import ThimError
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import ISSUED, Role


CHAIN = AMD.chain(MILAN)
VLEK_CHAIN = AMD.chain(MILAN, Role.ASVK)
FIRST = to_pem(AMD.certificate(GENOA, Role.FIRST_ASK)) + to_pem(
    AMD.certificate(GENOA, Role.ARK)
)
GENOA_TCB = TcbVersion(product=GENOA, bootloader=4)


def reason_of(verify, *arguments, **keywords):
    """
    Return why something is refused.
    """
    with pytest.raises(ThimError) as e:
        verify(*arguments, **keywords, source="here")
    return e.value.reason


def key_of(der):
    """
    Read an endorsement key.
    """
    return EndorsementKey.from_der(der)


class TestChain:
    @pytest.mark.parametrize("product", [MILAN, GENOA, TURIN])
    @pytest.mark.parametrize("role", [Role.ASK, Role.ASVK])
    def test_record(self, product, role):
        """
        A chain is a record with the dates of its intermediate, in the very
        bytes that came; what decides is what the ARK signed.
        """
        pem = AMD.chain(product, role)
        ask = x509.load_der_x509_certificate(AMD.certificate(product, role))
        kind = KeyKind.VCEK if role is Role.ASK else KeyKind.VLEK
        record = verify_cert_chain(pem, intake(), source="here")

        assert (cert_chain_key(kind, product), None) == (
            record.key,
            record.evaluation_number,
        )
        assert (pem, pem) == (record.body, record.issuer_chain)
        assert ISSUED[product, role][1] == record.issued
        ark = x509.load_der_x509_certificate(AMD.certificate(product, Role.ARK))
        assert ark.not_valid_after_utc == record.next_update
        assert hashlib.sha256(ask.tbs_certificate_bytes).digest() == (
            record.signed_sha256
        )
        assert ("here", NOW, NOW) == (
            record.source,
            record.fetched,
            record.verified,
        )

    def test_stranger(self):
        """
        A chain to another root is refused.
        """
        found = reason_of(verify_cert_chain, STRANGER.chain(MILAN), intake())

        assert "root-not-pinned" == found

    def test_from_the_future(self):
        """
        A chain that begins more than a clock's error later is refused.
        """
        early = ISSUED[MILAN, Role.ASK][1] - datetime.timedelta(minutes=6)

        assert "not-yet-valid" == reason_of(
            verify_cert_chain, CHAIN, intake(now=early)
        )

    def test_clocks_differ(self):
        """
        One that begins four minutes later is taken.
        """
        early = ISSUED[MILAN, Role.ASK][1] - datetime.timedelta(minutes=4)
        record = verify_cert_chain(CHAIN, intake(now=early), source="here")

        assert early == record.verified

    def test_long_expired(self):
        """
        An old one is taken: what held once can be asked for as of then.
        """
        late = NOW.replace(year=2090)
        record = verify_cert_chain(CHAIN, intake(now=late), source="here")

        assert late == record.verified

    @pytest.mark.parametrize(
        "pem",
        [
            b"",
            CHAIN + CHAIN,
            to_pem(AMD.certificate(MILAN, Role.ASK)),
            b"<html>" + CHAIN,
        ],
    )
    def test_other_than_two(self, pem):
        """
        It is two certificates and nothing else.
        """
        assert "certificate-malformed" == reason_of(
            verify_cert_chain, pem, intake()
        )

    def test_wrong_way_round(self):
        """
        It begins with the intermediate.
        """
        ark, ask = (
            to_pem(AMD.certificate(MILAN, role))
            for role in (Role.ARK, Role.ASK)
        )

        assert "certificate-name" == reason_of(
            verify_cert_chain, ark + ask, intake()
        )


class TestCrl:
    @pytest.mark.parametrize("kind", KeyKind)
    def test_record(self, kind):
        """
        A list is a record under the ARK alone, by the name under which it was
        published.
        """
        der = AMD.crl(MILAN, issued=day(3))
        record = verify_amd_crl(der, kind, intake(CHAIN), source="here")

        assert amd_crl_key(kind, MILAN) == record.key
        assert der == record.body
        assert to_pem(AMD.certificate(MILAN, Role.ARK)) == record.issuer_chain
        assert (day(3), day(368)) == (record.issued, record.next_update)

    def test_under_either_chain(self):
        """
        The ARK may have come with the providers' chain.
        """
        der = AMD.crl(MILAN)
        record = verify_amd_crl(
            der, KeyKind.VCEK, intake(VLEK_CHAIN), source="here"
        )

        assert der == record.body

    def test_under_a_revoked_chain(self):
        """
        It may have come with a chain whose intermediate is revoked: else no
        later list could ever be taken.
        """
        known = dataclasses.replace(intake(), revoked=[CaChain.from_pem(CHAIN)])
        der = AMD.crl(MILAN)
        record = verify_amd_crl(der, KeyKind.VCEK, known, source="here")

        assert der == record.body

    @pytest.mark.parametrize("chains", [(), (AMD.chain(GENOA),)])
    def test_unknown_ark(self, chains):
        """
        Without the product line's ARK it cannot be taken.
        """
        assert "no-issuer-chain" == reason_of(
            verify_amd_crl, AMD.crl(MILAN), KeyKind.VCEK, intake(*chains)
        )

    def test_strangers(self):
        """
        One that another ARK of the same name has signed is refused.
        """
        assert "crl-signature" == reason_of(
            verify_amd_crl, STRANGER.crl(MILAN), KeyKind.VCEK, intake(CHAIN)
        )

    def test_from_the_future(self):
        """
        So is one that is not valid yet.
        """
        der = AMD.crl(MILAN, issued=NOW + DAY)

        assert "not-yet-valid" == reason_of(
            verify_amd_crl, der, KeyKind.VCEK, intake(CHAIN)
        )

    def test_expired(self):
        """
        One that has expired is taken, for the archive.
        """
        der = AMD.crl(MILAN, issued=day(0), next_update=day(1))
        record = verify_amd_crl(der, KeyKind.VCEK, intake(CHAIN), source="here")

        assert der == record.body

    def test_no_list(self):
        """
        What is no list is refused.
        """
        assert "crl-malformed" == reason_of(
            verify_amd_crl, b"<html>", KeyKind.VCEK, intake(CHAIN)
        )


class TestEndorsement:
    @pytest.mark.parametrize(
        ("der", "chain"), [(vcek(), CHAIN), (vlek(), VLEK_CHAIN)]
    )
    def test_under_its_chain(self, der, chain):
        """
        A key is taken under the chain of its kind.
        """
        known = intake(VLEK_CHAIN, AMD.chain(GENOA), CHAIN)
        found = verify_endorsement(key_of(der), known, source="here")

        assert (der, chain) == (found.key.der, found.issuer_chain)
        assert ("here", NOW) == (found.source, found.fetched)

    @pytest.mark.parametrize("signer", [Role.ASK, Role.FIRST_ASK])
    @pytest.mark.parametrize("is_turned", [False, True])
    def test_two_of_one_name(self, signer, is_turned):
        """
        Of two intermediates with one name that one is taken which has signed
        it, in whatever order they are known.
        """
        chains = [AMD.chain(GENOA), FIRST]
        if is_turned:
            chains.reverse()
        der = vcek(tcb=GENOA_TCB, signer=signer)
        found = verify_endorsement(key_of(der), intake(*chains), source="here")
        expected = FIRST if signer is Role.FIRST_ASK else AMD.chain(GENOA)

        assert expected == found.issuer_chain

    def test_under_a_revoked_one(self):
        """
        Where the one that has signed it is revoked, that is said, and not
        that the other has not.
        """
        known = dataclasses.replace(
            intake(AMD.chain(GENOA)), revoked=[CaChain.from_pem(FIRST)]
        )
        der = vcek(tcb=GENOA_TCB, signer=Role.FIRST_ASK)

        assert "ask-revoked" == reason_of(
            verify_endorsement, key_of(der), known
        )

    def test_beside_a_revoked_one(self):
        """
        A revoked one of that name makes no other's key bad.
        """
        known = dataclasses.replace(
            intake(AMD.chain(GENOA)), revoked=[CaChain.from_pem(FIRST)]
        )
        der = vcek(tcb=GENOA_TCB)
        found = verify_endorsement(key_of(der), known, source="here")

        assert der == found.key.der

    def test_nobodys_beside_a_revoked_one(self):
        """
        What neither has signed is refused for its signature.
        """
        known = dataclasses.replace(
            intake(AMD.chain(GENOA)), revoked=[CaChain.from_pem(FIRST)]
        )
        der = vcek(tcb=GENOA_TCB, amd=STRANGER)

        assert "certificate-signature" == reason_of(
            verify_endorsement, key_of(der), known
        )

    @pytest.mark.parametrize("chains", [(), (VLEK_CHAIN,), (AMD.chain(GENOA),)])
    def test_no_chain(self, chains):
        """
        Without a chain of its kind and product line it cannot be taken.
        """
        assert "no-issuer-chain" == reason_of(
            verify_endorsement, key_of(vcek()), intake(*chains)
        )

    def test_strangers(self):
        """
        One that another ASK of the same name has signed is refused.
        """
        assert "certificate-signature" == reason_of(
            verify_endorsement, key_of(vcek(amd=STRANGER)), intake(CHAIN)
        )

    def test_changed(self):
        """
        So is one of which a bit has changed.
        """
        der = vcek()
        at = der.index(CHIP)
        forged = der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :]

        assert "certificate-signature" == reason_of(
            verify_endorsement, key_of(forged), intake(CHAIN)
        )

    def test_from_the_future(self):
        """
        So is one that is not valid yet.
        """
        assert "not-yet-valid" == reason_of(
            verify_endorsement, key_of(vcek(NOW + DAY)), intake(CHAIN)
        )

    def test_expired(self):
        """
        One that has expired is taken.
        """
        der = vlek(NOW - 500 * DAY)
        found = verify_endorsement(
            key_of(der), intake(VLEK_CHAIN), source="here"
        )

        assert der == found.key.der

    def test_before_its_issuer(self):
        """
        One that is older than the intermediate that signed it is refused.
        """
        der = vcek(ISSUED[MILAN, Role.ASK][1] - DAY / 48)

        assert "ask-not-yet-valid" == reason_of(
            verify_endorsement, key_of(der), intake(CHAIN)
        )
