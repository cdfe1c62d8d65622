"""
How platforms are named, and how it is said which certificate they get.
"""

import dataclasses

import pytest

from tests.platforms import FMSPC, NOW, platform_id, tcbm
from thim.collateral.platforms import HeldPck, Platform, RegisteredBy
from thim.errors import ParameterError
from thim.intel.names import PckCa
from thim.services.platform_admin import (
    check_name,
    explain_choices,
    parse_labels,
)


LOW, MIDDLE, HIGH = tcbm(1, 1), tcbm(2, 1), tcbm(2, 2)
PLATFORM = Platform(
    row=1,
    id=platform_id("one"),
    registered_by=RegisteredBy.CERTIFICATES,
    registered=NOW,
    raw_tcbs=(),
)


def held(at):
    """
    A certificate for the TCB *at*.
    """
    return HeldPck(
        row=1,
        serial=1,
        tcbm=at,
        pem=b"",
        issuer_chain=b"",
        fmspc=FMSPC,
        ca=PckCa.PLATFORM,
        not_after=NOW,
        is_revoked=False,
    )


def explain(raw, *at):
    """
    Explain which of the certificates for TCBs *at* is got at the TCB *raw*.
    """
    platform = dataclasses.replace(PLATFORM, raw_tcbs=(raw,))
    floors = (HIGH, MIDDLE, LOW)
    (choice,) = explain_choices(platform, [held(a) for a in at], floors)
    return choice.certificate and choice.certificate.tcbm, choice.why


@pytest.mark.parametrize("name", ["r", "rack 7", "Ä/β-1", "x" * 64, "a" * 31])
def test_name(name):
    """
    A name is whatever people can read.
    """
    assert name == check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a ",
        "x" * 65,
        "a\nb",
        "\x1b[1m",
        "\udcff",
        "a" * 32,
        f"{'AB' * 16}:0000",
    ],
)
def test_bad_name(name):
    """
    It is not empty, not long, not a QE ID, and nothing for a terminal.
    """
    with pytest.raises(ParameterError, match="name: got"):
        check_name(name)


def test_labels():
    """
    A label has a key and a value; without a value it is taken away.
    """
    assert {"a/b.c-d_1": "x = y", "z": None} == parse_labels(
        ["a/b.c-d_1=x = y", "z="]
    )


@pytest.mark.parametrize(
    "label", ["", "a", "=b", "a b=c", "ä=b", "a=\n", f"a={'b' * 257}", "-a=b"]
)
def test_bad_label(label):
    """
    A label of another form is refused.
    """
    with pytest.raises(ParameterError, match="KEY=VALUE"):
        parse_labels([label])


def test_exact():
    """
    The certificate may be for the very TCB.
    """
    assert (HIGH, "made for this very TCB") == explain(HIGH, LOW, HIGH)


def test_highest():
    """
    The platform may be above all that there is.
    """
    expected = (MIDDLE, "the highest one, and the platform reaches it")

    assert expected == explain(HIGH, LOW, MIDDLE)


def test_passed_over():
    """
    The next one is named, and in what it asks for more.
    """
    raw = tcbm(2, 0, pcesvn=9)
    found, why = explain(raw, tcbm(1, pcesvn=5), HIGH)

    assert tcbm(1, pcesvn=5) == found
    assert (
        "the highest that the platform reaches; the next one is above it: "
        "component 2 is 0, it needs 2, PCESVN is 9, it needs 11"
    ) == why


def test_too_low():
    """
    Where there is none it is said what is missing for the lowest.
    """
    expected = (
        None,
        "none: even the lowest is above it: component 1 is 0, it needs 1",
    )

    assert expected == explain(tcbm(0, 1), HIGH, LOW)


def test_no_certificates():
    """
    There may be no certificates at all.
    """
    assert (None, "no certificate is known yet") == explain(LOW)
