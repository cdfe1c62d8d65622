import dataclasses

import pytest

from tests.made_amd import (
    AMD,
    CHIP,
    GENOA,
    MILAN,
    NAME,
    OLD_TCB,
    TCB,
    TURIN,
    chain_record,
    day,
    endorsement,
    fill,
    vcek,
)
from tests.services.amd_stores import (
    anchors,
    keys,
    ledger,
    replica,
    store,
)
from thim.amd.kds import ChipTcb
from thim.amd.tcb import TcbVersion
from thim.errors import MalformedError, NotFoundError
from thim.services.vcek import VcekQuery, find_vcek, name_chip


__all__ = ["anchors", "keys", "ledger", "replica", "store"]

GENOA_TCB = dataclasses.replace(TCB, product=GENOA)
AS_GENOA = ChipTcb(product=GENOA, hw_id=CHIP, tcb=GENOA_TCB)
TURIN_ID = bytes(range(1, 9))


def fill_genoa(ledger):
    """
    Keep a Genoa's VCEK.
    """
    ledger.add(chain_record(GENOA))
    found = endorsement(vcek(tcb=GENOA_TCB), AMD.chain(GENOA))
    ledger.endorsements.add(found)


class TestFind:
    def test_first_that_there_is(self, ledger, keys):
        """
        The first name that there is a certificate for answers.
        """
        fill(ledger, vcek())
        other = dataclasses.replace(NAME, tcb=OLD_TCB)

        for names in ((NAME,), (other, NAME), (AS_GENOA, NAME)):
            assert vcek() == find_vcek(keys, VcekQuery(names=names)).der

    def test_order_of_names(self, ledger, keys):
        """
        Of two that there are, the first does.
        """
        fill(ledger, vcek())
        fill_genoa(ledger)

        for names in ((NAME, AS_GENOA), (AS_GENOA, NAME)):
            found = find_vcek(keys, VcekQuery(names=names))
            assert names[0].product is found.product

    def test_at(self, ledger, keys):
        """
        What was current at an instant is found as of then.
        """
        fill(ledger, vcek(day(0)), vcek(day(5)))

        assert vcek(day(0)) == (
            find_vcek(keys, VcekQuery(names=(NAME,), at=day(4))).der
        )

    def test_none(self, ledger, keys):
        """
        Where there is none, product lines and TCB are said, and no chip.
        """
        with pytest.raises(NotFoundError, match="Milan or Genoa chip") as e:
            find_vcek(keys, VcekQuery(names=(NAME, AS_GENOA)))

        assert "unknown-chip" == e.value.reason
        assert TCB.tcbm in str(e.value)
        assert CHIP.hex() not in str(e.value).lower()


class TestNameChip:
    def test_of_nobody_known(self, keys):
        """
        An unknown chip may be a Milan or a Genoa.
        """
        assert (NAME, AS_GENOA) == name_chip(keys, CHIP, TCB.tcbm)

    def test_of_a_known_one(self, ledger, keys):
        """
        A known one is what it is known as, also at another TCB.
        """
        fill(ledger, vcek())

        assert (dataclasses.replace(NAME, tcb=OLD_TCB),) == (
            name_chip(keys, CHIP, OLD_TCB.tcbm)
        )

    def test_of_a_known_genoa(self, ledger, keys):
        """
        The same for a Genoa.
        """
        fill_genoa(ledger)

        assert (AS_GENOA,) == name_chip(keys, CHIP, TCB.tcbm)

    def test_of_a_turin(self, keys):
        """
        A Turin is known by the zeros behind its ID.
        """
        tcb = TcbVersion(product=TURIN, fmc=1, bootloader=2, microcode=81)
        expected = ChipTcb(product=TURIN, hw_id=TURIN_ID, tcb=tcb)

        assert (expected,) == name_chip(keys, TURIN_ID + bytes(56), tcb.tcbm)

    def test_short_tcbm(self, keys):
        """
        Zeros in front of a TCB may be left out.
        """
        tcb = TcbVersion(product=MILAN, bootloader=4)
        found = name_chip(keys, CHIP, "4")

        assert tcb == found[0].tcb

    @pytest.mark.parametrize(
        ("chip_id", "tcbm", "reason"),
        [
            (CHIP, "xyz", "tcbm"),
            (CHIP, "0000000000010000", "tcb-reserved"),
            (TURIN_ID + bytes(56), "0000010000000000", "tcb-reserved"),
            (bytes(64), "00", "hwid-zero"),
        ],
    )
    def test_refused(self, keys, chip_id, tcbm, reason):
        """
        What no chip and no TCB can be is refused.
        """
        with pytest.raises(MalformedError) as e:
            name_chip(keys, chip_id, tcbm)

        assert reason == e.value.reason
