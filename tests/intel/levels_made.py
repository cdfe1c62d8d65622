"""
Levels of TCB infos and identities, and the words for what they make of a
quote.
"""

from tests.intel.quotes_made import why
from thim.intel.tcb import ACCEPTABLE_STATUSES


UP = "UpToDate"
OUT = "OutOfDate"
REVOKED = "Revoked"
HARDENING = "SWHardeningNeeded"
CONFIGURATION = "ConfigurationNeeded"
BOTH = "ConfigurationAndSWHardeningNeeded"
OUT_CONFIGURATION = "OutOfDateConfigurationNeeded"
RELAUNCH = "TDRelaunchAdvised"
RELAUNCH_CONFIGURATION = "TDRelaunchAdvisedConfigurationNeeded"


def level(status, sgx=0, pcesvn=0, tdx=0, *, day=1, advisories=()):
    """
    Write a level of the platform; SVNs are the same for all components.
    """
    return {
        "tcb": {
            "sgxtcbcomponents": [{"svn": sgx}] * 16,
            "pcesvn": pcesvn,
            "tdxtcbcomponents": [{"svn": tdx}] * 16,
        },
        "tcbDate": f"2024-01-{day:02}T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": [*advisories],
    }


def part(status, isvsvn=0, *, day=1, advisories=()):
    """
    Write a level of the QE or of the TDX module.
    """
    return {
        "tcb": {"isvsvn": isvsvn},
        "tcbDate": f"2024-01-{day:02}T00:00:00Z",
        "tcbStatus": status,
        "advisoryIDs": [*advisories],
    }


def tcb_info(kind, levels, modules=None):
    """
    Write what changes in a TCB info: levels, and those of module version 1.
    """
    if kind == "v3":
        for each in levels:
            del each["tcb"]["tdxtcbcomponents"]
        return {"tcbLevels": levels}
    identity = {
        "id": "TDX_01",
        "mrsigner": "00" * 48,
        "attributes": "00" * 8,
        "attributesMask": "FF" * 8,
        "tcbLevels": modules or [part(UP)],
    }
    return {"tcbLevels": levels, "tdxModuleIdentities": [identity]}


def status(verdict):
    """
    Return Intel's word, and check that acceptable is what is at the baseline.
    """
    assert None is why(verdict)
    found = verdict.tcb_status
    assert (found in ACCEPTABLE_STATUSES) == verdict.is_acceptable
    assert verdict.is_acceptable == (not verdict.findings)
    return found and found.value


def short(findings):
    """
    Shorten findings to what is behind, by how much.
    """
    return [(each.component, each.found, each.needed) for each in findings]


def where(finding):
    """
    Shorten a finding to its step and reason.
    """
    return finding.step, finding.reason


def named(kind, levels, sgx=(), tdx=()):
    """
    Write levels that name their first components.
    """
    for each in levels:
        for tee, names in (("sgx", sgx), ("tdx", tdx)):
            components = each["tcb"][f"{tee}tcbcomponents"]
            each["tcb"][f"{tee}tcbcomponents"] = [
                {**component, **name}
                for component, name in zip(
                    components, [*names, *[{}] * 16], strict=False
                )
            ]
    return tcb_info(kind, levels)
