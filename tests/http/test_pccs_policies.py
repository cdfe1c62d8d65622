"""
Quote appraisal policies: put by administrators, read by anybody.
"""

import hashlib

import pytest

from tests.http.administration import HEX, V3, V4
from tests.intel.policies import SGX, TDX_1_5, leave_unsigned, sign


PUT = f"{V4}/appraisalpolicy"
GET = f"{PUT}?fmspc={HEX}"
OTHER = "00906ED50000"


def put(pccs, policy, *, is_default=True, fmspc=HEX):
    """
    Put a policy as pccsadmin does.
    """
    body = {"policy": policy, "is_default": is_default, "fmspc": fmspc}
    return pccs.send("PUT", PUT, body)


def test_put(pccs):
    """
    The answer is the policy's ID, and who put it is written down.
    """
    policy = sign(SGX)
    got = put(pccs, policy)
    expected = hashlib.sha384(policy.encode()).hexdigest()

    assert (200, expected.encode()) == (got.status, got.body)
    assert [("policy-put", "admin")] == pccs.events()


@pytest.mark.parametrize("path", [GET, GET.replace("v4", "v3"), GET.lower()])
def test_get(pccs, path):
    """
    Anybody gets the default policy, on v3 and v4, labelled as by PCCS.
    """
    put(pccs, sign(SGX))
    got = pccs.served.get(path)

    assert (200, "text/html; charset=utf-8") == (
        got.status,
        got["content-type"],
    )
    assert 2 == got.body.count(b".")
    assert (304, b"") == (
        (again := pccs.served.get(path, {"If-None-Match": got["etag"]})).status,
        again.body,
    )


def test_file_end(pccs):
    """
    A newline at the end of the tool's file is no part of the policy.
    """
    policy = sign(SGX)
    put(pccs, f"{policy}\n")

    assert policy.encode() == pccs.served.get(GET).body


def test_below_baseline(pccs):
    """
    QPL has one base URL, so it is there below a baseline too; policies have
    no past.
    """
    put(pccs, sign(SGX))

    assert 200 == pccs.served.get(f"/baseline/17{GET}").status
    assert 404 == pccs.served.get(f"/at/2026-01-01{GET}").status
    assert 405 == pccs.send("PUT", f"/baseline/17{PUT}", {}).status


def test_types(pccs):
    """
    There is one default for each type, joined by a comma; a new one takes the
    place of its own type's only.
    """
    policies = [
        sign(SGX, note="first"),
        sign(TDX_1_5),
        sign(SGX, note="second"),
    ]
    for policy in policies:
        put(pccs, policy)
    expected = ",".join([policies[2], policies[1]])

    assert expected.encode() == pccs.served.get(GET).body


@pytest.mark.parametrize("base", [V3, V4])
def test_none(pccs, base):
    """
    Where there is no default it is a 404, whatever else there is.
    """
    put(pccs, sign(SGX), fmspc=OTHER)
    put(pccs, sign(TDX_1_5), is_default=False)
    got = pccs.served.get(f"{base}/appraisalpolicy?fmspc={HEX}")

    assert (404, "no-policy") == (got.status, got["thim-reason"])
    assert got.body.startswith(b"No cache data for this platform. ")


def test_no_longer(pccs):
    """
    A default that is put again as none is none.
    """
    put(pccs, sign(SGX))
    got = pccs.served.get(GET).body
    put(pccs, got.decode(), is_default=False)

    assert 404 == pccs.served.get(GET).status


@pytest.mark.parametrize("query", ["", "?fmspc=x"])
def test_bad_fmspc(pccs, query):
    """
    It takes an FMSPC.
    """
    assert 400 == pccs.served.get(f"{PUT}{query}").status


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (leave_unsigned(SGX), "unsigned"),
        (sign(SGX)[:-9] + "AAAAAAAAA", "signature-invalid"),
    ],
)
@pytest.mark.parametrize("is_default", [True, False])
def test_untrusted(pccs, policy, reason, is_default):
    """
    A policy that is not signed, or not by its key, is a 460, and not kept.
    """
    got = put(pccs, policy, is_default=is_default)

    assert (460, reason) == (got.status, got["thim-reason"])
    assert [] == pccs.rows("SELECT id FROM appraisal_policies")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"fmspc": "x"}, b"$.fmspc"),
        ({"is_default": "yes"}, b"$.is_default"),
        ({"policy": None}, b"$.policy"),
        ({"policy": "x"}, b"JSON Web Token"),
        ({"policy": sign("x")}, b"class_id"),
    ],
)
def test_malformed(pccs, changes, name):
    """
    What is no policy is a 400 that says why.
    """
    body = {"policy": sign(SGX), "is_default": True, "fmspc": HEX, **changes}
    got = pccs.send("PUT", PUT, body)

    assert 400 == got.status
    assert name in got.body


@pytest.mark.parametrize("name", ["policy", "is_default", "fmspc"])
def test_missing(pccs, name):
    """
    All three are needed.
    """
    body = {"policy": sign(SGX), "is_default": True, "fmspc": HEX}
    del body[name]
    got = pccs.send("PUT", PUT, body)

    assert 400 == got.status
    assert name.encode() in got.body
