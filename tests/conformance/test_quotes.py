"""
Genuine quotes, and what others found out about them.

The statuses in the corpus's manifest are dcap-qvl's, which Intel's QVL 1.27
shares; where that library refuses by a policy of its own, the manifest has its
error, and the status is what the levels come to.
"""

import collections

import pytest

from tests.conformance.corpus import instant
from tests.conformance.quotes import (
    documents_for,
    entries,
    judge,
    library,
    read,
    refuse,
    tcb_info,
    verifier,
)
from thim.intel.evaluation import find_isv_level, highest_first
from thim.intel.open_enclave import open_report
from thim.intel.pck_chain import read_pck
from thim.intel.report_body import SgxReportBody, Td10Body
from thim.intel.steps import Step
from thim.intel.tcb import Tcb


pytestmark = pytest.mark.usefixtures("corpus")

#: What a platform's status comes to when a part of it is out of date.
OUTDATED = {
    "UpToDate": "OutOfDate",
    "SWHardeningNeeded": "OutOfDate",
    "ConfigurationNeeded": "OutOfDateConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded": "OutOfDateConfigurationNeeded",
}
#: The errors in the manifest, and what explains each.
ERRORS = {
    "Debug mode is enabled": lambda verdict: verdict.debug,
    "SEPT_VE_DISABLE is not enabled": lambda verdict: (
        not verdict.quote.body.sept_ve_disable
    ),
    "Invalid MR service TD": lambda verdict: verdict.service_td is not None,
    "No matching TCB level found": lambda verdict: (
        verdict.tcb_status is None and verdict.tcb.launch.platform is None
    ),
}


def each(*kinds):
    """
    Let a test run for each file of *kinds*, the quotes by default.
    """
    found = entries(*kinds)
    names = [entry["name"].rpartition("/")[2] for entry in found]
    return pytest.mark.parametrize("entry", found, ids=names)


def judge_alone(entry, quote, ca):
    """
    Verify a quote without rows, with what the corpus has for its platform;
    None if that is nothing.
    """
    since, until = instant(entry["valid_from"]), instant(entry["valid_to"])
    tee = entry.get("tee", "SGX")
    found = documents_for(tee, entry["fmspc"], ca, since, until)
    if found is None:
        return None
    names, at = found
    return verifier(names).verify(quote, at)


def converge(history, qe):
    """
    Combine the statuses that the manifest has of platform, module and QE.
    """
    parts = {qe, history["tdx_module_status"]} - {None}
    assert parts <= {"UpToDate", "OutOfDate"}
    platform = history["platform_tcb_status"]
    if platform == "NoMatchingLevel":
        return None
    if "OutOfDate" in parts:
        return OUTDATED.get(platform, platform)
    return platform


class TestQuotes:
    @each()
    def test_verdicts(self, entry):
        """
        A quote is authentic under Intel's root, with each status, advisory
        and TCB that the manifest has of it.
        """
        quote = read(entry["name"])
        assert None is refuse(quote, instant(entry["pck_valid_from"]))
        history = {row["tcb_info"]: row for row in entry["tcb_history"]}
        for row in entry["verdicts"]:
            verdict = judge(entry["name"], row)

            assert verdict.is_authentic
            assert () == verdict.expired
            found = verdict.tcb_status and verdict.tcb_status.value
            before = history[row["tcb_info"]]
            assert converge(before, row["qe_status_own"]) == found
            assert verdict.is_acceptable == (not verdict.findings)
            if "error" in row:
                _, _, error = row["error"].partition(": ")
                assert ERRORS[error](verdict)
            else:
                assert row["status"] == found
                advisories = sorted(row["advisory_ids"])
                assert advisories == list(verdict.advisory_ids)

    def test_rows(self):
        """
        Those are 157 quotes with 611 statuses and 305 errors.
        """
        rows = [row for entry in entries() for row in entry["verdicts"]]
        errors = collections.Counter(row.get("error") for row in rows)

        assert 157 == len(entries())
        named = {f"Verification failed: {error}" for error in ERRORS}
        assert errors.keys() == {None, *named}
        assert (611, 305) == (errors.pop(None), errors.total())

    def test_without_rows(self):
        """
        18 quotes have no row: 16 of them verify with other documents of the
        corpus, and for two there is no TCB info.
        """
        found = collections.Counter(
            verdict and verdict.is_authentic
            for verdict in (
                judge_alone(entry, read(entry["name"]), entry["ca"])
                for entry in entries()
                if not entry["verdicts"]
            )
        )

        assert {True: 16, None: 2} == found

    def test_what_the_manifest_says(self):
        """
        The fields of a quote are those that the manifest names.
        """
        for entry in entries():
            quote = read(entry["name"])
            body = quote.body
            pck = read_pck(quote.certification_data)
            measured = (
                body.mrenclave if isinstance(body, SgxReportBody) else body.mrtd
            )
            assert (
                entry["tee"],
                entry["version"],
                entry["debug"],
                entry["mr"],
                entry["qe_isvsvn"],
                entry["fmspc"],
                entry["ca"],
                entry["pcesvn"],
                instant(entry["pck_valid_to"]),
            ) == (
                quote.tee.value,
                quote.version,
                body.debug,
                measured.hex(),
                quote.qe_report.isvsvn,
                pck.fmspc.hex().upper(),
                pck.ca.value,
                pck.pcesvn,
                pck.not_after,
            )


FAMILIES = sorted({(e["tee"], e["fmspc"]) for e in entries()})


def row_of(entry, name):
    """
    Work out a row of a quote's history: what it is worth under the TCB info
    *name* alone.
    """
    quote = read(entry["name"])
    body = quote.body
    tdx = body.tee_tcb_svn if isinstance(body, Td10Body) else b""
    info, table = tcb_info(name)
    pck = read_pck(quote.certification_data)
    level = table.find(Tcb(sgx=pck.components, pcesvn=pck.pcesvn, tdx=tdx))
    module = None
    if tdx and tdx[1]:
        modules = {m.id: m for m in info.tdx_module_identities}
        known = modules.get(f"TDX_{tdx[1]:02X}")
        module = "NoModuleIdentity"
        if known is not None:
            found = find_isv_level(highest_first(known.levels), tdx[0])
            module = found.status.value if found else ""
    if level is None:
        return "NoMatchingLevel", [], None, module
    advisories = sorted(level.advisory_ids)
    return level.status.value, advisories, level.tcb_date, module


class TestHistory:
    @pytest.mark.parametrize(("tee", "fmspc"), FAMILIES)
    def test_family(self, tee, fmspc):
        """
        Each quote of a family has, under each TCB info of the family, the
        level that the manifest has: status, advisories, date, and the status
        of the TDX module.
        """
        for entry in entries():
            if (entry["tee"], entry["fmspc"]) != (tee, fmspc):
                continue
            for row in entry["tcb_history"]:
                expected = (
                    row["platform_tcb_status"],
                    sorted(row["advisories"] or []),
                    row["tcb_date"] and instant(row["tcb_date"]),
                    row["tdx_module_status"],
                )
                assert expected == row_of(entry, row["tcb_info"])

    def test_rows(self):
        """
        Those are 2483 rows.
        """
        assert 2483 == sum(len(entry["tcb_history"]) for entry in entries())


class TestOpenEnclave:
    #: Two are not authentic.
    REFUSED = (
        ("aea433f1", (Step.QUOTE_SIGNATURE, "quote-signature")),
        ("fe53fd47", (Step.PCK_CHAIN, "issuer")),
    )

    @each("oe-report")
    def test_report(self, entry):
        """
        A report verifies, or is refused at the one step that does not hold.
        """
        quote = open_report(library().bytes(entry["name"])).quote
        digest = entry["name"][-12:-4]
        expected = dict(self.REFUSED).get(digest)

        found = refuse(quote, instant(entry["valid_from"]))

        assert expected == found
        assert entry["quote_ok"] == (found is None)
        if entry["quote_ok"]:
            ca = read_pck(quote.certification_data).ca.value
            assert judge_alone(entry, quote, ca).is_authentic
            assert entry["debug"] == quote.body.debug

    def test_reports(self):
        """
        There are 19.
        """
        assert 19 == len(entries("oe-report"))
