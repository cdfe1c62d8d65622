import dataclasses

import pytest

from tests.made_amd import (
    AMD,
    ASK,
    CHIP,
    DAY,
    GENOA,
    MILAN,
    NAME,
    NOW,
    OLD_TCB,
    OTHER_CHIP,
    STRANGER,
    chain_record,
    crl_record,
    day,
    fill,
    vcek,
    vlek,
)
from tests.services.amd_stores import (
    anchors,
    keys,
    ledger,
    replica,
    store,
    watch,
)
from thim.amd.authorities import KeyKind
from thim.amd.kds import ChipTcb
from thim.amd.tcb import TcbVersion
from thim.collateral.amd_keys import (
    amd_crl_key,
    cert_chain_key,
    vcek_target,
)
from thim.collateral.targets import Target
from thim.errors import ThimError
from thim.services.amd_desk import AmdDesk
from thim.services.outcome import Outcome
from thim.simulate.amd_pki import to_pem
from thim.simulate.amd_profile import Role
from thim.upstream.model import Response


__all__ = ["anchors", "keys", "ledger", "replica", "store", "watch"]

CHAIN = Target(key=cert_chain_key(KeyKind.VCEK, MILAN))
CRL = Target(key=amd_crl_key(KeyKind.VCEK, MILAN))
VCEK = vcek_target(NAME)
GENOA_TCB = TcbVersion(product=GENOA, bootloader=4)
URL = "https://kds.example/vcek"


@pytest.fixture
def desk(ledger):
    """
    A desk at NOW.
    """
    return AmdDesk(ledger=ledger, clock=lambda: NOW, draw=lambda: 0.0)


def take(desk, target, body):
    """
    Take in *body* as the answer to *target*.
    """
    return desk.take(
        target, Response(url=URL, status=200, headers={}, body=body)
    )


def refuse(desk, target, body):
    """
    Have *body* refused as the answer to *target*; return the reason.
    """
    with pytest.raises(ThimError) as e:
        take(desk, target, body)
    return e.value.reason


def quarantined(watch):
    """
    Return what lies in quarantine as reason, source and bytes.
    """
    return [
        (r.reason, r.source, watch.refused_body(r.sha256))
        for r in watch.refused(NOW - DAY, 100)
    ]


def flip(der, place=-1):
    """
    Return *der* with another bit.
    """
    changed = bytearray(der)
    changed[place] ^= 1
    return bytes(changed)


class TestTaken:
    def test_chain(self, desk, replica):
        """
        A chain is kept, and looked at again in time.
        """
        fetched = take(desk, CHAIN, AMD.chain(MILAN))

        assert Outcome.TAKEN is fetched.outcome
        assert fetched.due > NOW
        assert AMD.chain(MILAN) == replica.find(CHAIN.key).body

    @pytest.mark.parametrize("kind", KeyKind)
    def test_list(self, desk, ledger, replica, kind):
        """
        A list is kept by the name by which it was asked for, and looked at
        again within a day.
        """
        ledger.add(chain_record())
        target = Target(key=amd_crl_key(kind, MILAN))
        fetched = take(desk, target, AMD.crl(MILAN))

        assert Outcome.TAKEN is fetched.outcome
        assert NOW < fetched.due <= NOW + DAY
        assert AMD.crl(MILAN) == replica.find(target.key).body

    def test_vcek(self, desk, ledger, keys):
        """
        A VCEK is kept, and not looked at again.
        """
        fill(ledger)
        fetched = take(desk, VCEK, vcek())

        assert (Outcome.TAKEN, None) == (fetched.outcome, fetched.due)
        held = keys.find_vcek(NAME)
        assert (vcek(), NOW) == (held.der, held.fetched)

    def test_issued_anew(self, desk, ledger, keys, watch):
        """
        One that was issued anew is kept beside it, an older one too.
        """
        fill(ledger, vcek(day(5)))
        for issued in (5, 6, 4):
            assert Outcome.TAKEN is take(desk, VCEK, vcek(day(issued))).outcome

        assert vcek(day(6)) == keys.find_vcek(NAME).der
        assert vcek(day(5)) == keys.find_vcek(NAME, day(5)).der
        assert vcek(day(4)) == keys.find_vcek(NAME, day(4)).der
        assert [] == quarantined(watch)


class TestRollback:
    def test_list(self, desk, ledger, replica):
        """
        A list that is older than ours is archived, and the upstream has
        failed; it is counted.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(issued=5))
        fetched = take(desk, CRL, AMD.crl(MILAN, issued=day(4)))

        assert (Outcome.FAILED, "rollback") == (
            fetched.outcome,
            fetched.reason,
        )
        assert f"{URL}: genuine, but of 2026-03-05" in fetched.detail
        assert crl_record(issued=5).body == replica.find(CRL.key).body
        assert replica.find(CRL.key, None, day(4)) is not None

    def test_chain(self, desk, ledger):
        """
        The same for a chain: Genoa's first, which is revoked.
        """
        ledger.add(chain_record(GENOA))
        target = Target(key=cert_chain_key(KeyKind.VCEK, GENOA))
        first = to_pem(AMD.certificate(GENOA, Role.FIRST_ASK)) + to_pem(
            AMD.certificate(GENOA, Role.ARK)
        )

        assert "rollback" == take(desk, target, first).reason

    def test_counted(self, desk, ledger, watch):
        """
        It is counted.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(issued=5))
        take(desk, CRL, AMD.crl(MILAN, issued=day(4)))

        assert [("shortfall", "rollback", 1)] == [
            (c.name, c.label, c.count) for c in watch.counters()
        ]

    def test_same_again(self, desk, ledger):
        """
        The same as ours is no rollback.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(issued=5))

        assert Outcome.TAKEN is (
            take(desk, CRL, AMD.crl(MILAN, issued=day(5))).outcome
        )


class TestRefused:
    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (vcek(hw_id=OTHER_CHIP), "hwid-mismatch"),
            (vcek(tcb=OLD_TCB), "tcb-mismatch"),
            (vcek(tcb=GENOA_TCB), "product-mismatch"),
            (vlek(), "wrong-subject"),
            (flip(vcek()), "certificate-signature"),
            (vcek(amd=STRANGER), "certificate-signature"),
            (vcek(day(1), is_other=True), "endorsement-key-changed"),
            (vcek(NOW + DAY), "not-yet-valid"),
            (to_pem(vcek()), "certificate-malformed"),
            (AMD.certificate(MILAN, Role.ASK), "certificate-name"),
            (b"<html>", "certificate-malformed"),
            (b"", "certificate-malformed"),
        ],
    )
    def test_vcek(self, desk, ledger, keys, watch, body, reason):
        """
        What is not the VCEK that was asked for is refused by its reason, lies
        in quarantine with where it came from, and changes nothing.
        """
        fill(ledger, vcek())
        ledger.add(chain_record(GENOA))
        before = keys.find_vcek(NAME), keys.count()

        assert reason == refuse(desk, VCEK, body)
        assert [(reason, URL, body)] == quarantined(watch)
        assert before == (keys.find_vcek(NAME), keys.count())
        assert keys.find_vlek(NAME.tcb) is None

    def test_without_a_chain(self, desk, keys, watch):
        """
        A VCEK without a chain is refused.
        """
        assert "no-issuer-chain" == refuse(desk, VCEK, vcek())
        assert keys.find_vcek(NAME) is None
        assert ["no-issuer-chain"] == [r for r, *_ in quarantined(watch)]

    def test_under_a_revoked_chain(self, desk, ledger, keys):
        """
        One whose intermediate is revoked is refused as that.
        """
        fill(ledger)
        ledger.add(crl_record(ASK))

        assert "ask-revoked" == refuse(desk, VCEK, vcek())
        assert keys.find_vcek(NAME) is None

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (AMD.chain(GENOA), "wrong-subject"),
            (AMD.chain(MILAN, Role.ASVK), "wrong-subject"),
            (STRANGER.chain(MILAN), "root-not-pinned"),
            (vcek(), "certificate-malformed"),
            (b"<html>", "certificate-malformed"),
        ],
    )
    def test_chain(self, desk, replica, watch, body, reason):
        """
        So is what is not the chain that was asked for.
        """
        assert reason == refuse(desk, CHAIN, body)
        assert [(reason, URL, body)] == quarantined(watch)
        assert [] == replica.entries()

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (AMD.crl(GENOA), "wrong-subject"),
            (STRANGER.crl(MILAN), "crl-signature"),
            (flip(AMD.crl(MILAN)), "crl-signature"),
            (AMD.crl(MILAN, issued=day(5), number=9), "fork"),
            (AMD.chain(MILAN), "crl-malformed"),
        ],
    )
    def test_list(self, desk, ledger, replica, watch, body, reason):
        """
        And what is not the list.
        """
        ledger.add(chain_record())
        ledger.add(chain_record(GENOA))
        ledger.add(crl_record(issued=5))

        assert reason == refuse(desk, CRL, body)
        assert [(reason, URL, body)] == quarantined(watch)
        assert crl_record(issued=5).body == replica.find(CRL.key).body

    def test_counted(self, desk, watch):
        """
        What is refused is counted by its reason.
        """
        for body in (b"1", b"2"):
            refuse(desk, VCEK, body)

        assert [("refused", "certificate-malformed", 2)] == [
            (c.name, c.label, c.count) for c in watch.counters()
        ]

    def test_names_no_chip(self, desk, ledger, watch):
        """
        What is said of it names no chip.
        """
        fill(ledger)
        refuse(desk, VCEK, vcek(hw_id=OTHER_CHIP))

        (found,) = watch.refused(NOW - DAY, 9)
        for hw_id in (CHIP, OTHER_CHIP):
            assert hw_id.hex() not in found.detail.lower()

    def test_of_another_line(self, desk, ledger, keys):
        """
        A genuine VCEK of a Genoa is none of a Milan with the same ID and TCB.
        """
        ledger.add(chain_record(GENOA))
        twin = ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB)
        asked = ChipTcb(
            product=MILAN,
            hw_id=CHIP,
            tcb=dataclasses.replace(GENOA_TCB, product=MILAN),
        )

        assert "product-mismatch" == refuse(
            desk, vcek_target(asked), vcek(tcb=GENOA_TCB)
        )
        assert keys.find_vcek(twin) is None
