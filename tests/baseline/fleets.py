"""
Small fleets and documents, made by hand or at random.
"""

import datetime

import numpy

from hypothesis import strategies as st

from thim.baseline.documents import DocumentSet, TcbDocument
from thim.baseline.fleet import Columns, Fleet
from thim.intel.evaluation import highest_first
from thim.intel.names import Tee
from thim.intel.tcb import (
    ENCLAVE_STATUSES,
    PLATFORM_STATUSES,
    IsvLevel,
    Tcb,
    TcbLevel,
)
from thim.intel.tcb_table import TcbTable


TAKEN = datetime.datetime(2026, 9, 1, 12, 30, 1, 5, tzinfo=datetime.UTC)
FMSPCS = (bytes.fromhex("00606A000000"), bytes.fromhex("00806F050000"))
DATE = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)


def a_fleet(*rows, fmspcs=FMSPCS, unknown=0):
    """
    Make a fleet of *rows*: the place of the FMSPC, a TCB whose ``tdx`` may be
    empty, and the ISVSVNs of both quoting enclaves; its keys are 1, 2, ...
    """
    count = len(rows)
    columns = Columns(
        fmspcs=fmspcs,
        keys=numpy.arange(1, count + 1),
        fmspc=numpy.array([row[0] for row in rows], "u2"),
        sgx=_octets(row[1].sgx for row in rows),
        pcesvn=numpy.array([row[1].pcesvn for row in rows], "u2"),
        has_tdx=numpy.array([bool(row[1].tdx) for row in rows], "?"),
        tdx=_octets(row[1].tdx or bytes(16) for row in rows),
        qe=numpy.array([row[2] for row in rows], "i4"),
        td_qe=numpy.array([row[3] for row in rows], "i4"),
        rows=numpy.arange(count),
    )
    return Fleet.from_columns(columns, taken=TAKEN, unknown=unknown)


def _octets(values):
    return numpy.frombuffer(b"".join(values), "u1").reshape(-1, 16)


def a_row(sgx=0, pcesvn=0, tdx=None, *, place=0, qe=-1, td_qe=-1):
    """
    Make a row: SVNs are the same for all components, unless they are bytes.
    """
    tcb = Tcb(sgx=_svns(sgx), pcesvn=pcesvn, tdx=_svns(tdx))
    return place, tcb, qe, td_qe


def _svns(given):
    if given is None:
        return b""
    return given if isinstance(given, bytes) else bytes([given] * 16)


def a_level(status, sgx=0, pcesvn=0, tdx=None, advisories=()):
    """
    Make a level of a platform.
    """
    tcb = Tcb(sgx=_svns(sgx), pcesvn=pcesvn, tdx=_svns(tdx))
    return TcbLevel(tcb=tcb, status=status, advisory_ids=advisories)


def a_part(status, isvsvn):
    """
    Make a level of a TDX module or a quoting enclave.
    """
    return IsvLevel(isvsvn=isvsvn, status=status, tcb_date=DATE)


def a_document(levels, tee=Tee.SGX, place=0, modules=None):
    """
    Make a TCB info.
    """
    return TcbDocument(
        tee=tee,
        fmspc=FMSPCS[place],
        signed=b"",
        table=TcbTable(levels),
        modules={
            version: highest_first(parts)
            for version, parts in (modules or {}).items()
        },
    )


def a_set(*documents, number=17, **identities):
    """
    Make the documents of a number; identities by TEE.
    """
    return DocumentSet(
        number=number,
        tcb_infos={(each.tee, each.fmspc): each for each in documents},
        identities={
            Tee[tee]: highest_first(parts) for tee, parts in identities.items()
        },
    )


#: Few values at few places, so that levels are met and missed alike.
SVNS = st.sampled_from([0, 1, 2, 3, 255])
COMPONENTS = st.builds(
    lambda ends, rest: bytes([*ends, *[rest] * 12]),
    st.tuples(SVNS, SVNS, SVNS, SVNS),
    SVNS,
) | st.lists(SVNS, min_size=16, max_size=16).map(bytes)
PCESVNS = st.sampled_from([0, 1, 5, 255, 256, 65535])
ISVSVNS = st.sampled_from([-1, 0, 1, 4, 5, 6, 65535])


def tcbs(tdx):
    """
    Draw TCBs, with what *tdx* draws for TDX.
    """
    return st.builds(Tcb, sgx=COMPONENTS, pcesvn=PCESVNS, tdx=tdx)


@st.composite
def documents(draw, tee, place):
    """
    Draw a TCB info with few levels, or with many.
    """
    tdx = COMPONENTS if tee is Tee.TDX else st.just(b"")
    most = draw(st.sampled_from([3, 16, 40]))
    floors = draw(st.lists(tcbs(tdx), min_size=1, max_size=most, unique=True))
    levels = [
        TcbLevel(tcb=floor, status=draw(st.sampled_from(_PLATFORM)))
        for floor in floors
    ]
    modules = draw(st.dictionaries(st.sampled_from([1, 2, 3]), parts()))
    return a_document(levels, tee, place, modules)


@st.composite
def parts(draw):
    """
    Draw the levels of a TDX module or a quoting enclave.
    """
    svns = draw(
        st.lists(st.integers(1, 7), min_size=1, max_size=4, unique=True)
    )
    return [a_part(draw(st.sampled_from(_ENCLAVE)), svn) for svn in svns]


@st.composite
def sets(draw):
    """
    Draw the documents of a number, of which some may be missing.
    """
    found = [
        draw(documents(tee, place))
        for tee in Tee
        for place in range(len(FMSPCS))
        if draw(st.booleans()) or draw(st.booleans())
    ]
    identities = {
        tee.name: draw(parts())
        for tee in Tee
        if draw(st.booleans()) or draw(st.booleans())
    }
    return a_set(*found, **identities)


@st.composite
def fleets(draw):
    """
    Draw a fleet.
    """
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, len(FMSPCS) - 1),
                tcbs(st.just(b"") | COMPONENTS),
                ISVSVNS,
                ISVSVNS,
            ),
            max_size=12,
        )
    )
    return a_fleet(*rows)


_PLATFORM = sorted(PLATFORM_STATUSES, key=lambda each: each.name)
_ENCLAVE = sorted(ENCLAVE_STATUSES, key=lambda each: each.name)
