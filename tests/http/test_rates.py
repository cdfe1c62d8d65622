import datetime

import pytest

from tests.http.doors import behind
from tests.http.test_door import add_token
from tests.new_store import new_store
from thim.collateral.anchors import VENDOR_ROOTS
from thim.http.door_settings import Family, RateSettings
from thim.http.rates import find_family
from thim.services.rate import is_loopback
from thim.services.tokens import Role


NOW = datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize(
    ("method", "path", "family"),
    [
        ("GET", "/admin/v1/whoami", Family.ADMIN),
        ("POST", "/sgx/certification/v4/platforms", Family.ADMIN),
        ("GET", "/sgx/certification/v3/refresh", Family.ADMIN),
        ("PUT", "/sgx/certification/v4/platformcollateral", Family.ADMIN),
        ("PUT", "/sgx/certification/v4/appraisalpolicy", Family.ADMIN),
        ("GET", "/sgx/certification/v4/appraisalpolicy", Family.COLLATERAL),
        ("GET", "/sgx/certification/v4/tcb", Family.COLLATERAL),
        ("GET", "/tenant/a/baseline/b/tdx/x", Family.COLLATERAL),
        ("GET", "/vcek/v1/Milan/crl", Family.COLLATERAL),
        ("GET", "/certs", Family.COLLATERAL),
        ("GET", "/nonsense", Family.COLLATERAL),
        ("POST", "/attest/SgxEnclave", Family.ATTESTATION),
        ("POST", "/tenant/a/attest/SgxEnclave", Family.ATTESTATION),
        ("PUT", "/policies/SgxEnclave", Family.ATTESTATION),
        ("GET", "/tcbbaselines/SgxEnclave", Family.ATTESTATION),
        ("POST", "/certificates:add", Family.ATTESTATION),
        ("GET", "/tenant/a/baseline/b/tcbbaselines/x", Family.ATTESTATION),
        ("GET", "/at/2026-11-01T00:00:00Z/policies/x", Family.ATTESTATION),
        ("GET", "/operations/x", Family.ATTESTATION),
        ("GET", "/certificates", Family.ATTESTATION),
        ("GET", "/certificatesauthority", Family.COLLATERAL),
        ("GET", "/x/attest/SgxEnclave", Family.COLLATERAL),
        ("GET", "/administrator", Family.COLLATERAL),
        ("GET", "/sgx/certification/v4/platforms/x", Family.COLLATERAL),
        ("HEAD", "/sgx/certification/v4/appraisalpolicy", Family.COLLATERAL),
        ("GET", "/metrics/x", Family.COLLATERAL),
        ("GET", "/health/ready", None),
        ("GET", "/servicehealth", None),
        ("GET", "/metrics", None),
    ],
)
def test_families(method, path, family):
    """
    Each path is counted with its family; probes and metrics never are.
    """
    assert family is find_family(path, method)


def test_any():
    """
    One limit is a limit.
    """
    assert RateSettings(admin=1).is_any
    assert not RateSettings().is_any


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("token 127.0.0.1", False),
        ("", False),
    ],
)
def test_loopback(source, expected):
    """
    Addresses of this machine are told from others.
    """
    assert expected is is_loopback(source)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """
    A store with nothing in it.
    """
    path = tmp_path_factory.mktemp("rates") / "thim.db"
    new_store(path, VENDOR_ROOTS)
    return path


@pytest.fixture(scope="module")
def served(store):
    """
    A service that takes little from one caller.
    """
    rates = RateSettings(collateral=2, attestation=2, admin=2)
    with behind(store, rates=rates) as service:
        yield service.main


@pytest.fixture(scope="module")
def tokens(store):
    """
    One token for each test.
    """
    return [add_token(store, Role.READER) for _ in range(4)]


def ask(served, path, token, count=3, method="GET"):
    """
    Ask so often with *token*.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return [served.get(path, headers, method) for _ in range(count)]


def test_admin(served, tokens):
    """
    Who has asked the admin API too often is told so, when to come again, and
    why, as a problem.
    """
    *answered, over = ask(served, "/admin/v1/whoami", tokens[0])

    assert [200, 200] == [got.status for got in answered]
    assert 429 == over.status
    assert ("rate", "30") == (over["thim-reason"], over["retry-after"])
    assert "application/problem+json" == over["content-type"]
    assert "rate" == over.json["reason"]


def test_collateral(served, tokens):
    """
    Who has asked for collateral too often gets no body, since Intel's QCNL
    would append it to the next one; nothing is remembered meanwhile.
    """
    path = "/sgx/certification/v4/fmspcs"
    *answered, over = ask(served, path, tokens[1])

    assert [200, 200] == [got.status for got in answered]
    assert (429, b"") == (over.status, over.body)
    assert ("rate", "30") == (over["thim-reason"], over["retry-after"])


def test_attestation(served, tokens):
    """
    Who has attested too often is told so as Azure's clients know it.
    """
    path = "/attest/SgxEnclave?api-version=2020-10-01"
    *answered, over = ask(served, path, tokens[2], method="POST")

    assert 429 not in [got.status for got in answered]
    assert 429 == over.status
    assert ("rate", "30") == (over["thim-reason"], over["retry-after"])
    assert "TooManyRequests" == over.json["error"]["code"]


def test_apart(served, tokens):
    """
    Families are counted apart, and so are tokens.
    """
    ask(served, "/admin/v1/whoami", tokens[3])
    (other,) = ask(served, "/sgx/certification/v4/fmspcs", tokens[3], 1)

    assert 200 == other.status


def test_this_machine(served):
    """
    Who asks from this machine without a token is not counted: behind it may
    be a proxy with all the others.
    """
    found = ask(served, "/sgx/certification/v4/fmspcs", None, 5)
    found += ask(served, "/admin/v1/whoami", "0" * 12 + ".x", 5)

    assert 429 not in [got.status for got in found[:5]]
    assert {"token-refused"} == {got["thim-reason"] for got in found[5:]}


def test_probes(served, tokens):
    """
    Probes are never counted.
    """
    found = ask(served, "/health/live", tokens[0], 5)

    assert {200} == {got.status for got in found}


def test_when_to_come_again(store, tokens):
    """
    Where a minute does not divide evenly, the seconds to wait are rounded up.
    """
    with behind(store, rates=RateSettings(collateral=7)) as service:
        path = "/sgx/certification/v4/fmspcs"
        *_, over = ask(service.main, path, tokens[3], count=8)

    assert (429, "9") == (over.status, over["retry-after"])
