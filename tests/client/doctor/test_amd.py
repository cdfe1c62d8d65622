import dataclasses

import pytest

from tests.client.doctor.looking import facts, look, make_wish, names, target
from tests.client.fake import Said, faking, nobody
from tests.client.wishes import SGX
from tests.simulate.chips import playing
from thim.amd.report import Report
from thim.amd.tcb import ProductLine
from thim.client.doctor.amd import ask_amd, is_amd_alone, name_key
from thim.client.steps import Ask
from thim.services.clock import utc_now
from thim.simulate.snp_evidence import ReportOrder, SigningKey, make_report


MILAN, TURIN = ProductLine.MILAN, ProductLine.TURIN


@pytest.fixture(scope="module")
def vendor():
    """
    A simulated AMD, which answers as a thim does.
    """
    with playing() as running:
        yield running


def wish_for(vendor, report=None, **changes):
    """
    Make a wish for AMD's documents by the vendor's clock.
    """
    now = vendor.clock()
    values = {"now": now, "clock": now, "products": (MILAN,), **changes}
    return make_wish(vendor, report=report, **values)


def report_of(vendor, chip="milan-1", by=SigningKey.VCEK):
    """
    Have a chip make a report.
    """
    order = ReportOrder(chip=chip, signing_key=by, fields={})
    return Report.from_bytes(make_report(vendor.amd, order))


class TestWell:
    def test_documents(self, vendor):
        """
        Chain and revocation list are verified; Intel's are not asked for.
        """
        found = look(wish_for(vendor), target(vendor.url))
        told = facts(found)

        assert [] == names(found)
        assert "genuine" in told["AMD's chain (Milan)"]
        assert "genuine" in told["AMD's CRL (Milan)"]
        assert "QE identity" not in told

    def test_report(self, vendor):
        """
        A report is verified with its VCEK and what comes.
        """
        report = report_of(vendor)
        found = look(wish_for(vendor, report), target(vendor.url))

        assert [] == names(found)
        assert "authentic" == facts(found)["report"]

    def test_vlek(self, vendor):
        """
        A VLEK comes from the host: nobody is asked for it.
        """
        report = report_of(vendor, "milan-2", SigningKey.VLEK)
        found = look(wish_for(vendor, report), target(vendor.url))

        assert [] == names(found)
        assert "report" not in facts(found)


class TestAsked:
    def test_shown(self, vendor):
        """
        The path of a VCEK is shown to nobody, since it names the machine.
        """
        wish = wish_for(vendor, report_of(vendor))
        asked = next(ask_amd("https://a.example", wish, MILAN))
        assert isinstance(asked, Ask)
        *_, vcek = asked.requests

        assert wish.report.chip_id.hex() in vcek.url.lower()
        assert "https://a.example/…" == vcek.shown
        assert ["https://a.example/vcek/v1/Milan/cert_chain"] == [
            each.shown for each in asked.requests if "chain" in each.shown
        ]

    def test_vlek(self, vendor):
        """
        Of a report that a VLEK has signed no VCEK is named.
        """
        report = report_of(vendor, "milan-2", SigningKey.VLEK)

        assert name_key(report, MILAN) is None

    def test_short(self, vendor):
        """
        A Turin is named by the eight bytes that AMD's paths have of it.
        """
        named = name_key(report_of(vendor, "turin-1"), TURIN)

        assert named is not None
        assert 8 == len(named.hw_id)

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, True),
            ({"products": ()}, False),
            ({"models": (SGX,)}, False),
            ({"platforms": (("a", None),)}, False),
            ({"with_tdx": True}, False),
        ],
    )
    def test_alone(self, vendor, changes, expected):
        """
        Intel's documents are left out only where nobody has named Intel's.
        """
        assert expected == is_amd_alone(wish_for(vendor, **changes))


class TestBad:
    def test_changed(self, vendor):
        """
        A report that was changed is refused.
        """
        raw = bytearray(report_of(vendor).raw)
        raw[0x90] ^= 1
        report = Report.from_bytes(bytes(raw))
        found = look(wish_for(vendor, report), target(vendor.url))

        assert [("error", "report-refused")] == names(found)

    def test_unknown_chip(self, vendor):
        """
        A VCEK that the service does not have is an error that does not name
        the machine.
        """
        report = report_of(vendor)
        chip = bytes(range(64))
        stranger = dataclasses.replace(report, chip_id=chip)
        found = look(wish_for(vendor, stranger), target(vendor.url))
        (trouble,) = found.troubles

        assert "VCEK (Milan): status 404" == trouble.what
        assert "prefetch" in trouble.mend
        assert chip.hex() not in str(found)

    def test_ended(self, vendor):
        """
        A revocation list past its end is an error.
        """
        later = vendor.clock().replace(year=2030)
        found = look(wish_for(vendor, now=later), target(vendor.url))

        assert ("error", "expired") in names(found)

    def test_foreign(self, vendor, intel):
        """
        What is signed under other roots is believed by nobody.
        """
        wish = wish_for(vendor, anchors=intel.anchors)
        found = look(wish, target(vendor.url))

        assert {"error"} == {level for level, _ in names(found)}
        assert "NOT genuine" == facts(found)["AMD's chain (Milan)"]
        assert "a simulation, or a forgery" in found.troubles[0].cause

    def test_foreign_list(self, vendor, intel):
        """
        The list of a chain that does not hold is no trouble of its own.
        """
        wish = wish_for(vendor, anchors=intel.anchors)
        found = look(wish, target(vendor.url))

        assert [("error", "root-not-pinned")] == names(found)
        told = facts(found)["AMD's CRL (Milan)"]
        assert "cannot be judged without AMD's chain" == told

    def test_other(self, vendor):
        """
        What is no chain is an error; a list is not judged without it.
        """
        with faking(lambda _: Said(200, {}, b"<html>")) as fake:
            wish = wish_for(vendor, clock=utc_now())
            found = look(wish, target(fake.url))

        assert ["AMD's chain (Milan)"] == [
            each.what.partition(":")[0] for each in found.troubles
        ]

    def test_nobody(self, vendor):
        """
        Where nobody listens no question is asked.
        """
        found = look(wish_for(vendor), target(nobody()))

        assert [("error", "refused")] == names(found)
