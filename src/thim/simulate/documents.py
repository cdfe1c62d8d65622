"""
What stands in the documents of ``thim.simulate.pki``: dates, levels, modules.
"""

import datetime
import json

from collections.abc import Mapping
from typing import Final

from thim.intel.names import EnclaveKind, Tee


#: When a document is issued unless a test says otherwise.
ISSUED: Final = datetime.datetime(2025, 6, 5, 3, 43, 45, tzinfo=datetime.UTC)
#: How long Intel's documents and CRLs live.
LIFETIME: Final = datetime.timedelta(days=30)
#: The numbers of the SGX list of 2025-08-15, and their recovery events.
NUMBERS: Final = {
    20: datetime.datetime(2025, 8, 12, tzinfo=datetime.UTC),
    19: datetime.datetime(2025, 5, 13, tzinfo=datetime.UTC),
    18: datetime.datetime(2024, 11, 12, tzinfo=datetime.UTC),
    17: datetime.datetime(2024, 3, 12, tzinfo=datetime.UTC),
}
_DAY: Final = datetime.timedelta(days=1)


def format_date(instant: datetime.datetime) -> str:
    """
    Write *instant* as Intel's documents do.
    """
    return f"{instant.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def to_json(value: object) -> bytes:
    """
    Write *value* as Intel does: compact, members in their order.
    """
    return json.dumps(value, separators=(",", ":")).encode()


def changed(
    members: Mapping[str, object], changes: Mapping[str, object] | None
) -> bytes:
    """
    Write *members* with *changes*; a member that is None is left out.
    """
    merged = {**members, **(changes or {})}
    return to_json({k: v for k, v in merged.items() if v is not None})


def tcb_info_members(
    *,
    fmspc: str,
    tee: Tee,
    structure: int,
    number: int,
    issued: datetime.datetime,
    next_update: datetime.datetime | None,
) -> dict[str, object]:
    """
    Return the members of a TCB info, in Intel's order.
    """
    common = {
        "version": structure,
        **_dates(issued, next_update),
        "fmspc": fmspc,
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": number,
    }
    if structure == 1:
        return {
            "version": 1,
            "issueDate": f"{issued:%Y-%m-%dT%H:%M:%S}.085Z",
            "fmspc": fmspc,
            "tcbLevels": _levels_1(),
        }
    if structure == 2:
        return {**common, "tcbLevels": _levels_2()}
    return {
        "id": tee.value,
        **common,
        **(_tdx_parts() if tee is Tee.TDX else {}),
        "tcbLevels": _levels_3(tee),
    }


def identity_members(
    *,
    kind: EnclaveKind,
    number: int,
    issued: datetime.datetime,
    next_update: datetime.datetime | None,
) -> dict[str, object]:
    """
    Return the members of an enclave identity, in Intel's order.
    """
    return {
        "id": kind.value,
        "version": 2,
        **_dates(issued, next_update),
        "tcbEvaluationDataNumber": number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": "8C4F5775D796503E96137F77C68A829A"
        "0056AC8DED70140B081B094490C57BFF",
        "isvprodid": 1,
        "tcbLevels": _isv_levels(8, 6),
    }


def number_list_members(
    *,
    tee: Tee,
    numbers: Mapping[int, datetime.datetime],
    issued: datetime.datetime,
    next_update: datetime.datetime | None,
) -> dict[str, object]:
    """
    Return the members of a list of evaluation numbers, in Intel's order.
    """
    return {
        "id": tee.value,
        "version": 1,
        **_dates(issued, next_update),
        "tcbEvalNumbers": [
            {
                "tcbEvaluationDataNumber": number,
                "tcbRecoveryEventDate": format_date(event),
                "tcbDate": format_date(event + _DAY),
            }
            for number, event in numbers.items()
        ],
    }


def _dates(
    issued: datetime.datetime, next_update: datetime.datetime | None
) -> dict[str, str]:
    return {
        "issueDate": format_date(issued),
        "nextUpdate": format_date(next_update or issued + LIFETIME),
    }


def _flat_tcb(svn: int, pcesvn: int) -> dict[str, int]:
    names = [f"sgxtcbcomp{i:02}svn" for i in range(1, 17)]
    return {**dict.fromkeys(names, svn), "pcesvn": pcesvn}


def _levels_1() -> list[object]:
    return [
        {"tcb": _flat_tcb(4, 11), "status": "UpToDate"},
        {"tcb": _flat_tcb(2, 10), "status": "OutOfDate"},
    ]


def _levels_2() -> list[object]:
    return [
        {
            "tcb": _flat_tcb(4, 11),
            "tcbDate": "2024-03-13T00:00:00Z",
            "tcbStatus": "SWHardeningNeeded",
            "advisoryIDs": ["INTEL-SA-00615"],
        },
        {
            "tcb": _flat_tcb(2, 10),
            "tcbDate": "2018-01-04T00:00:00Z",
            "tcbStatus": "OutOfDate",
        },
    ]


def _levels_3(tee: Tee) -> list[object]:
    return [
        {
            "tcb": _components(tee, 4, 11),
            "tcbDate": "2024-03-13T00:00:00Z",
            "tcbStatus": "UpToDate",
        },
        {
            "tcb": _components(tee, 2, 10),
            "tcbDate": "2018-01-04T00:00:00Z",
            "tcbStatus": "OutOfDate",
            "advisoryIDs": ["INTEL-SA-00106", "INTEL-SA-00615"],
        },
    ]


def _components(tee: Tee, svn: int, pcesvn: int) -> dict[str, object]:
    sgx = [
        {"svn": svn, "category": "BIOS", "type": "Early Microcode Update"},
        *({"svn": svn} for _ in range(15)),
    ]
    tdx = {"tdxtcbcomponents": [{"svn": svn + 1}] * 16}
    return {
        "sgxtcbcomponents": sgx,
        "pcesvn": pcesvn,
        **(tdx if tee is Tee.TDX else {}),
    }


def _tdx_parts() -> dict[str, object]:
    module = {
        "mrsigner": "00" * 48,
        "attributes": "00" * 8,
        "attributesMask": "FF" * 8,
    }
    return {
        "tdxModule": module,
        "tdxModuleIdentities": [
            {"id": "TDX_03", **module, "tcbLevels": _isv_levels(3)},
            {"id": "TDX_01", **module, "tcbLevels": _isv_levels(4, 2)},
        ],
    }


def _isv_levels(*svns: int) -> list[object]:
    statuses = ["UpToDate", *["OutOfDate"] * len(svns)]
    return [
        {
            "tcb": {"isvsvn": svn},
            "tcbDate": "2024-03-13T00:00:00Z",
            "tcbStatus": status,
        }
        for svn, status in zip(svns, statuses, strict=False)
    ]
