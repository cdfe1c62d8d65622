import dataclasses

import pytest

from tests.made_amd import (
    AMD,
    ASK,
    GENOA,
    MILAN,
    NAME,
    NOW,
    OLD_TCB,
    OTHER_CHIP,
    STRANGER,
    TCB,
    chain_record,
    crl_record,
    day,
    endorsement,
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
from thim.amd.tcb import TcbVersion
from thim.collateral.transition import Transition
from thim.errors import ThimError, UntrustedError
from thim.services.amd_door import AmdDoor, check_is


__all__ = ["anchors", "keys", "ledger", "replica", "store", "watch"]


def reason_of(do, *arguments):
    """
    Return why something is refused.
    """
    with pytest.raises(ThimError) as e:
        do(*arguments)
    return e.value.reason


class TestVerify:
    def test_in_one_run(self, ledger):
        """
        What one run has taken in, the next document of that run is judged by:
        a chain, then its list, then a key that the list makes bad.
        """
        door = AmdDoor(ledger, NOW)
        assert "no-issuer-chain" == reason_of(door.verify_key, vcek(), "x")

        door.add(door.verify_chain(AMD.chain(MILAN), "x"))
        assert vcek() == door.verify_key(vcek(), "x").key.der

        der = AMD.crl(MILAN, revoked={ASK: day(0)})
        door.add(door.verify_crl(der, KeyKind.VCEK, "x"))
        assert "ask-revoked" == reason_of(door.verify_key, vcek(), "x")

    def test_by_what_the_store_holds(self, ledger):
        """
        A new run begins with what the store holds, revoked chains last.
        """
        fill(ledger)
        ledger.add(crl_record(ASK))
        door = AmdDoor(ledger, NOW)

        assert [KeyKind.VLEK, KeyKind.VCEK] == [c.kind for c in door.chains]
        assert "ask-revoked" == reason_of(door.verify_key, vcek(), "x")
        assert vlek() == door.verify_key(vlek(), "x").key.der

    def test_list_under_a_revoked_chain(self, ledger):
        """
        A list that takes a revocation back is taken, also where no other
        chain is known.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(ASK, issued=1))
        door = AmdDoor(ledger, NOW)
        der = AMD.crl(MILAN, issued=day(2))
        door.add(door.verify_crl(der, KeyKind.VCEK, "x"))

        assert vcek() == door.verify_key(vcek(), "x").key.der

    def test_strangers(self, ledger):
        """
        Nothing of a stranger's is verified, whatever it is.
        """
        fill(ledger)
        door = AmdDoor(ledger, NOW)

        assert "root-not-pinned" == reason_of(
            door.verify_chain, STRANGER.chain(MILAN), "x"
        )
        assert "crl-signature" == reason_of(
            door.verify_crl, STRANGER.crl(MILAN), KeyKind.VCEK, "x"
        )
        assert "certificate-signature" == reason_of(
            door.verify_key, vcek(amd=STRANGER), "x"
        )

    def test_no_certificate(self, ledger):
        """
        What cannot be read is refused as that.
        """
        assert "certificate-malformed" == reason_of(
            AmdDoor(ledger, NOW).verify_key, b"<html>", "x"
        )


class TestAdd:
    def test_again(self, ledger):
        """
        The same again is equal.
        """
        door = AmdDoor(ledger, NOW)
        record = door.verify_chain(AMD.chain(MILAN), "x")

        assert [Transition.NEWER, Transition.EQUAL] == [
            door.add(record),
            door.add(record),
        ]

    def test_fork(self, ledger, replica):
        """
        Another list of the same date contradicts the first and is refused.
        """
        ledger.add(chain_record())
        ledger.add(crl_record(issued=1))
        door = AmdDoor(ledger, NOW)
        der = AMD.crl(MILAN, issued=day(1), number=2)
        record = door.verify_crl(der, KeyKind.VCEK, "x")

        assert "fork" == reason_of(door.add, record)
        found = replica.find(record.key)
        assert crl_record(issued=1).body == found.body

    def test_key(self, ledger, keys):
        """
        A key is kept, and one that was issued anew.
        """
        fill(ledger)
        door = AmdDoor(ledger, NOW)

        for issued in (0, 1):
            found = door.verify_key(vcek(day(issued)), "x")
            assert Transition.NEWER is door.add_key(found)
        assert vcek(day(1)) == keys.find_vcek(NAME).der

    def test_other_key(self, ledger, keys):
        """
        Another key of the same chip and TCB is refused; nothing names the
        chip.
        """
        fill(ledger, vcek())
        door = AmdDoor(ledger, NOW)
        found = door.verify_key(vcek(day(9), is_other=True), "x")

        with pytest.raises(UntrustedError, match=f"at TCB {TCB.tcbm}") as e:
            door.add_key(found)
        assert "endorsement-key-changed" == e.value.reason
        assert NAME.hw_id.hex() not in str(e.value).lower()
        assert vcek() == keys.find_vcek(NAME).der


class TestCheckIs:
    def test_is(self):
        """
        The VCEK that was asked for is it.
        """
        check_is(endorsement(vcek()), NAME)

    @pytest.mark.parametrize(
        ("der", "reason"),
        [
            (vlek(), "wrong-subject"),
            (
                vcek(tcb=TcbVersion(product=GENOA, bootloader=4)),
                "product-mismatch",
            ),
            (vcek(hw_id=OTHER_CHIP), "hwid-mismatch"),
            (vcek(tcb=OLD_TCB), "tcb-mismatch"),
        ],
    )
    def test_is_another(self, der, reason):
        """
        What is another's is refused, each by its reason, and names no chip.
        """
        with pytest.raises(UntrustedError, match="genuine") as e:
            check_is(endorsement(der), NAME)

        assert reason == e.value.reason
        for hw_id in (NAME.hw_id, OTHER_CHIP):
            assert hw_id.hex() not in str(e.value).lower()

    def test_both_tcbs_are_named(self):
        """
        Of a wrong TCB both are named.
        """
        asked = dataclasses.replace(NAME, tcb=OLD_TCB)

        with pytest.raises(UntrustedError, match=f"{OLD_TCB.tcbm}.*{TCB.tcbm}"):
            check_is(endorsement(vcek()), asked)
