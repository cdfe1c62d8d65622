"""
What is told of machines one after the other, and what stays of it.
"""

import contextlib
import dataclasses
import itertools

from datetime import timedelta

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.platforms import FMSPC, NOW, platform_id
from thim.collateral.fleet_tcbs import FleetTcb, Origin
from thim.store.replica import Replica


OTHER = bytes.fromhex("00806F050000")
LATER = NOW + timedelta(hours=1)
_COLUMNS = (
    "name",
    "fmspc",
    "components",
    "pcesvn",
    "tee_tcb_svn",
    "qe_svn",
    "td_qe_svn",
    "origin",
    "source",
)
SELECT = f"SELECT {', '.join(_COLUMNS)} FROM fleet_tcbs WHERE qe_id = ?"  # noqa: S608
#: A store that lives longer than one example.
SHARED = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=40,
)
COUNT = itertools.count()


def told(who="one", seen=NOW, **changes):
    """
    What is told of a machine.
    """
    values = {
        "fmspc": FMSPC,
        "origin": Origin.IMPORTED,
        "source": "a test",
        **changes,
    }
    return FleetTcb(id=platform_id(who), seen=seen, **values)


def kept(ledger, who="one"):
    """
    What is kept of it, by column.
    """
    with contextlib.closing(Replica(ledger.path)) as replica:
        row = replica.first(SELECT, (platform_id(who).qe_id,))
    return dict(zip(_COLUMNS, row, strict=True))


def test_all_parts(ledger):
    """
    All that is told is kept.
    """
    tcb = told(
        name="lab 1",
        components=bytes(range(16)),
        pcesvn=65535,
        tee_tcb_svn=bytes(range(16, 32)),
        qe_svn=8,
        td_qe_svn=0,
        origin=Origin.ATTESTED,
    )

    assert 1 == ledger.fleet_tcbs.note([tcb])
    assert {
        "name": "lab 1",
        "fmspc": FMSPC,
        "components": bytes(range(16)),
        "pcesvn": 65535,
        "tee_tcb_svn": bytes(range(16, 32)),
        "qe_svn": 8,
        "td_qe_svn": 0,
        "origin": "attested",
        "source": "a test",
    } == kept(ledger)


def test_nothing(ledger):
    """
    To tell of nobody is no error.
    """
    assert 0 == ledger.fleet_tcbs.note([])


@pytest.mark.parametrize("is_turned", [False, True])
def test_later_counts(ledger, is_turned):
    """
    What was seen later counts, in whatever order it is told.
    """
    both = [
        told(qe_svn=9, name="old", source="first"),
        told(qe_svn=8, name="new", source="second", seen=LATER),
    ]
    for each in both[::-1] if is_turned else both:
        ledger.fleet_tcbs.note([each])

    row = kept(ledger)
    assert (8, "new", "second") == (row["qe_svn"], row["name"], row["source"])


@pytest.mark.parametrize("is_turned", [False, True])
def test_not_told_stays(ledger, is_turned):
    """
    What one does not tell stays as another told it.
    """
    both = [
        told(name="lab 1", components=bytes(16), pcesvn=3, qe_svn=8),
        told(tee_tcb_svn=bytes(16), td_qe_svn=4, seen=LATER),
    ]
    ledger.fleet_tcbs.note(both[::-1] if is_turned else both)

    row = kept(ledger)
    assert ("lab 1", bytes(16), 3, bytes(16), 8, 4) == (
        row["name"],
        row["components"],
        row["pcesvn"],
        row["tee_tcb_svn"],
        row["qe_svn"],
        row["td_qe_svn"],
    )


@pytest.mark.parametrize("is_turned", [False, True])
def test_other_fmspc(ledger, is_turned):
    """
    Components belong to an FMSPC: with another one those from before are
    none of it.
    """
    tdx = bytes(range(16))
    both = [
        told(components=bytes(16), pcesvn=3, tee_tcb_svn=tdx, name="lab 1"),
        told(fmspc=OTHER, seen=LATER),
    ]
    ledger.fleet_tcbs.note(both[::-1] if is_turned else both)

    row = kept(ledger)
    assert (OTHER, None, None, None, "lab 1") == (
        row["fmspc"],
        row["components"],
        row["pcesvn"],
        row["tee_tcb_svn"],
        row["name"],
    )


def test_the_same_instant(ledger):
    """
    Of one instant the last that is told counts.
    """
    ledger.fleet_tcbs.note([told(qe_svn=9), told(qe_svn=8)])

    assert 8 == kept(ledger)["qe_svn"]


def test_machines_apart(ledger):
    """
    Machines with one QE ID and different PCE IDs are different ones.
    """
    first = told(qe_svn=8)
    second = FleetTcb(
        id=platform_id("one", b"\1\0"),
        fmspc=OTHER,
        origin=Origin.IMPORTED,
        source="a test",
        seen=NOW,
    )
    ledger.fleet_tcbs.note([first, second])

    with contextlib.closing(Replica(ledger.path)) as replica:
        rows = replica.rows("SELECT fmspc FROM fleet_tcbs ORDER BY pce_id")
    assert [(FMSPC,), (OTHER,)] == rows


@st.composite
def tellings(draw, least=1, most=5):
    """
    What is told of one machine at different hours.
    """
    parts = {
        "name": st.none() | st.sampled_from(["a", "b", "ü"]),
        "tee_tcb_svn": st.none() | st.binary(min_size=16, max_size=16),
        "qe_svn": st.none() | st.integers(0, 65535),
        "td_qe_svn": st.none() | st.integers(0, 65535),
    }
    pair = st.none() | st.tuples(
        st.binary(min_size=16, max_size=16), st.integers(0, 65535)
    )
    hours = draw(
        st.lists(
            st.integers(0, 1000), min_size=least, max_size=most, unique=True
        )
    )
    who = f"{next(COUNT)}"
    found = []
    for hour in hours:
        components, pcesvn = draw(pair) or (None, None)
        found.append(
            told(
                who,
                NOW + timedelta(hours=hour),
                components=components,
                pcesvn=pcesvn,
                source=f"{hour}",
                **{name: draw(some) for name, some in parts.items()},
            )
        )
    return who, found


@SHARED
@given(given_=tellings())
def test_in_order(ledger, given_):
    """
    Of what is told in the order of time the last that tells a part counts,
    for each part by itself.
    """
    who, some = given_
    some.sort(key=lambda each: each.seen)
    ledger.fleet_tcbs.note(some)

    row = kept(ledger, who)
    for name in ("name", "components", "tee_tcb_svn", "qe_svn", "td_qe_svn"):
        values = [getattr(each, name) for each in some]
        last = [value for value in values if value is not None][-1:]
        assert (last[0] if last else None) == row[name]
    assert some[-1].source == row["source"]


@SHARED
@given(given_=tellings(least=2, most=2))
def test_order_of_two(ledger, given_):
    """
    In which order two are told makes no difference.
    """
    who, some = given_
    turned = f"{who} turned"
    other = [
        dataclasses.replace(each, id=platform_id(turned)) for each in some[::-1]
    ]
    ledger.fleet_tcbs.note([*some, *other])

    assert kept(ledger, who) == kept(ledger, turned)
