"""
The admin API's tenants: made, changed, deleted, and what they got.
"""

import contextlib
import hashlib
import json
import threading

import pytest

from tests.http.admin_api import serving_admin
from tests.platforms import FMSPC, NOW
from tests.policy_signers import signer
from thim.attestation.policy_signer import spell_thumbprint
from thim.baseline.provider import AAD
from thim.baseline.provider_definition import describe_provider
from thim.store.replica import Replica


REASON = {"reason": "test"}
TCB = f"/sgx/certification/v4/tcb?fmspc={FMSPC.hex().upper()}"
AT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def api(intel, tmp_path):
    """
    A service of its own for each test.
    """
    with serving_admin(intel, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(intel, tmp_path_factory):
    """
    A service to which nothing is ever done.
    """
    with serving_admin(intel, tmp_path_factory.mktemp("refused")) as running:
        yield running


def problem(got):
    """
    Read a refusal: status and reason.
    """
    assert "application/problem+json" == got["content-type"]
    return got.status, got.json["reason"]


class TestMade:
    def test_least(self, api):
        """
        A tenant needs a name and a reason, and has the default baseline then.
        """
        got = api.put("/tenants/new", {**REASON, "baseline": "17"})

        assert 201 == got.status
        assert "no-store" == got["cache-control"]
        assert {
            "name": "new",
            "baseline": "17",
            "number": 17,
            "trouble": None,
            "overrides": "never",
            "hosts": [],
            "labels": {},
            "quota": None,
            "version": 1,
            "attestation": describe_provider(AAD),
            "policy_certificates": [],
        } == got.json
        assert got.json == api.ask("/tenants/new").json

    def test_everything(self, api):
        """
        It may have hosts, labels, a quota, and overrides.
        """
        body = {
            **REASON,
            "baseline": "18",
            "overrides": "allowed",
            "hosts": ["New.Example", "new.example."],
            "labels": {"of": "new"},
            "quota": {"requests": 60, "per": "token"},
        }

        found = api.put("/tenants/new", body).json

        assert (18, "allowed", ["new.example"], {"of": "new"}) == (
            found["number"],
            found["overrides"],
            found["hosts"],
            found["labels"],
        )
        assert "60/min per token" == found["quota"]

    def test_served_at_once(self, api):
        """
        It is served from the next request on, and until it is deleted.
        """
        path = f"/tenant/new{TCB}"
        assert 404 == api.served.get(path).status
        api.put("/tenants/new", {**REASON, "baseline": "17"})

        assert 200 == api.served.get(path).status
        assert 200 == api.ask("/tenants/new", method="DELETE").status
        assert 404 == api.served.get(path).status

    def test_listed(self, api):
        """
        It is in the list, behind the root.
        """
        names = [each["name"] for each in api.ask("/tenants").json]

        assert ["root", "acme", "all", "lab"] == names

    def test_written_down(self, api):
        """
        Who made it and why is written down.
        """
        api.put("/tenants/new", {"reason": "a new customer", "baseline": "17"})

        (line,) = api.ask("/tenants/new/history").json
        assert "a new customer" == line["reason"]
        assert line["actor"].startswith("token ")
        assert "(admin)" in line["actor"]
        assert api.tokens["admin"] not in line["actor"]


REFUSED = [
    ("New", {}, 400),
    ("new_1", {}, 400),
    ("x" * 64, {}, 400),
    ("standard", {}, 400),
    ("7", {}, 400),
    ("acme", {}, 400),
    ("root", {}, 400),
    ("new", {"baseline": "nothing"}, 404),
    ("new", {"baseline": "99"}, 404),
    ("new", {"baseline": "x" * 64}, 400),
    ("new", {"baseline": 17}, 400),
    ("new", {"overrides": "sometimes"}, 400),
    ("new", {"hosts": ["192.0.2.7"]}, 400),
    ("new", {"hosts": ["a b"]}, 400),
    ("new", {"hosts": [f"h{n}.example" for n in range(65)]}, 400),
    ("new", {"hosts": "new.example"}, 400),
    ("new", {"labels": {f"{n}": "x" for n in range(33)}}, 400),
    ("new", {"labels": {"a": 1}}, 400),
    ("new", {"labels": ["a"]}, 400),
    ("new", {"quota": {"requests": 0}}, 400),
    ("new", {"quota": {"requests": 10**7}}, 400),
    ("new", {"quota": {"requests": 1, "per": "planet"}}, 400),
    ("new", {"quota": 60}, 400),
    ("new", {"quota": {"requests": 1, "each": "minute"}}, 400),
    ("new", {"quotas": None}, 400),
    ("new", {"reason": ""}, 400),
    ("new", {"reason": "x" * 501}, 400),
]


ISOLATED = {
    "attestation": {"trust": "isolated", "crl_grace": "14d"},
    "policy_certificates": [signer().pem],
}


class TestAttestation:
    def test_given(self, api):
        """
        A tenant's attestation side is given with it, and shown whole.
        """
        body = {**REASON, "baseline": "17", **ISOLATED}
        got = api.put("/tenants/new", body)

        assert 201 == got.status, got.body
        shown = got.json["attestation"]
        usual = describe_provider(AAD)
        assert {**usual, "trust": "isolated", "crl_grace": "14d"} == shown
        assert [spell_thumbprint(signer().der)] == (
            got.json["policy_certificates"]
        )

    def test_stays(self, api):
        """
        Where it is left out the present one stays, and its certificates.
        """
        body = {**REASON, "baseline": "17"}
        before = api.put("/tenants/new", {**body, **ISOLATED}).json
        got = api.put("/tenants/new", {**body, "labels": {}}, if_match="1")

        assert 200 == got.status
        for name in ("attestation", "policy_certificates"):
            assert before[name] == got.json[name]

    def test_replaced(self, api):
        """
        What is given takes the place of all of it; certificates are added.
        """
        body = {**REASON, "baseline": "17", **ISOLATED}
        api.put("/tenants/new", body)
        body["attestation"] = {"trust": "isolated"}
        body["policy_certificates"] = [signer("bob").pem]
        got = api.put("/tenants/new", body, if_match="1")

        assert "0d" == got.json["attestation"]["crl_grace"]
        assert 2 == len(got.json["policy_certificates"])

    @pytest.mark.parametrize(
        "changes",
        [
            {"attestation": {"trust": "isolated"}},
            {"attestation": {"trust": "nobody"}},
            {"attestation": {"issuer": "https://x.example/"}},
            {"attestation": {"issuer": "https://x.example/a/../b"}},
            {"attestation": {"sgx_statuses": ["Revoked"]}},
            {"attestation": {"other": 1}},
            {"attestation": []},
            {"policy_certificates": [signer().pem]},
            {**ISOLATED, "policy_certificates": ["x"]},
            {**ISOLATED, "policy_certificates": [signer().pem * 2]},
            {**ISOLATED, "policy_certificates": [signer().pem] * 65},
            {
                **ISOLATED,
                "policy_certificates": [signer("small", bits=1024).pem],
            },
        ],
        ids=lambda value: json.dumps(value)[:60],
    )
    def test_refused(self, shared, changes):
        """
        What cannot be is refused, and nothing of it is written.
        """
        before = shared.counts()
        got = shared.put("/tenants/x", {**REASON, "baseline": "17", **changes})

        assert 400 == got.status
        assert before == shared.counts()
        with contextlib.closing(Replica(shared.store)) as replica:
            count = "SELECT count(*) FROM policy_certificates"
            assert (0,) == replica.first(count)


class TestRefused:
    @pytest.mark.parametrize(("name", "changes", "status"), REFUSED)
    def test_values(self, shared, name, changes, status):
        """
        A value that cannot be is refused, and nothing of it is written.
        """
        before = shared.counts()

        body = {**REASON, "baseline": "17", **changes}
        got = shared.put(f"/tenants/{name}", body)

        assert status == got.status, got.body
        assert got.json["detail"]
        assert before == shared.counts()

    def test_taken_host(self, api):
        """
        A host name is one tenant's only, however it is written.
        """
        body = {**REASON, "baseline": "17", "hosts": ["shared.example"]}
        assert 201 == api.put("/tenants/new", body).status
        before = api.counts()

        for host in ("shared.example", "SHARED.example", "shared.example."):
            got = api.put("/tenants/other", {**body, "hosts": [host]})
            assert (400, "parameter") == problem(got)
            assert "tenant new has it" in got.json["detail"]
        assert before == api.counts()


class TestChanged:
    def test_version(self, api):
        """
        Who names the version that is there changes it.
        """
        body = {**REASON, "labels": {"of": "acme"}, "overrides": "allowed"}
        got = api.put("/tenants/acme", body, if_match='"1"')

        assert (200, 2, "allowed", "17") == (
            got.status,
            got.json["version"],
            got.json["overrides"],
            got.json["baseline"],
        )

    @pytest.mark.parametrize("version", ["0", "2", '"7"', "999999999"])
    def test_conflict(self, api, version):
        """
        Another version is a conflict, and nothing is written.
        """
        before = api.counts()

        got = api.put("/tenants/acme", REASON, if_match=version)

        assert (409, "changed-meanwhile") == problem(got)
        assert "at version 1" in got.json["detail"]
        assert before == api.counts()

    @pytest.mark.parametrize(
        "version", ["*", 'W/"1"', "-1", "1.0", "one", '"1", "2"', "9" * 5000]
    )
    def test_no_version(self, api, version):
        """
        What is no version is refused.
        """
        got = api.put("/tenants/acme", REASON, if_match=version)

        assert (400, "parameter") == problem(got)
        assert "If-Match" in got.json["detail"]

    def test_unknown(self, api):
        """
        Nobody can be changed who is not there.
        """
        got = api.put("/tenants/new", REASON, if_match="1")

        assert (404, "unknown-tenant") == problem(got)

    def test_baseline(self, api):
        """
        A tenant's baseline is moved by a plan only.
        """
        before = api.counts()

        body = {**REASON, "baseline": "18"}
        got = api.put("/tenants/acme", body, if_match="1")

        assert (400, "parameter") == problem(got)
        assert "a plan moves a tenant" in got.json["detail"]
        assert before == api.counts()

    def test_race(self, api):
        """
        Of many who have seen the same version one gets it.
        """
        got = []

        def change(n):
            body = {**REASON, "labels": {"n": f"{n}"}}
            got.append(api.put("/tenants/acme", body, if_match="1").status)

        threads = [threading.Thread(target=change, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [200] + [409] * 5 == sorted(got)
        assert 2 == api.ask("/tenants/acme").json["version"]


class TestDeleted:
    def test_gone(self, api):
        """
        It is not there any more, its tokens count no more, its past stays.
        """
        got = api.ask("/tenants/acme?reason=has%20left", method="DELETE")

        assert (200, {"name": "acme", "deleted": True}) == (
            got.status,
            got.json,
        )
        assert (404, "unknown-tenant") == problem(api.ask("/tenants/acme"))
        own = api.ask("/tenants/acme", "acme/admin")
        assert (401, "token-refused") == problem(own)
        history = api.ask("/tenants/acme/history").json
        assert "has left" == history[-1]["reason"]

    def test_twice(self, api):
        """
        Nobody is deleted twice.
        """
        api.ask("/tenants/acme", method="DELETE")
        before = api.counts()

        again = api.ask("/tenants/acme", method="DELETE")

        assert (404, "unknown-tenant") == problem(again)
        assert before == api.counts()

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/tenants/root", 400),
            ("/tenants/nobody", 404),
            (f"/tenants/acme?reason={'x' * 501}", 400),
            ("/tenants/acme?reason=%FF", 400),
        ],
    )
    def test_refused(self, api, path, status):
        """
        The root stays, and a reason has 500 characters at most.
        """
        before = api.counts()

        assert status == api.ask(path, method="DELETE").status
        assert before == api.counts()


class TestServed:
    def test_document(self, api):
        """
        It tells by its digest which document a tenant got.
        """
        body = api.served.get(f"/tenant/acme{TCB}").body
        path = TCB.replace("?", "%3F").replace("=", "%3D")

        for who in ("admin", "acme/reader"):
            got = api.ask(f"/tenants/acme/served?at={AT}&path={path}", who)
            assert 200 == got.status
            assert hashlib.sha256(body).hexdigest() == got.json["sha256"]
            assert ("acme", "17", 17) == (
                got.json["tenant"],
                got.json["baseline"],
                got.json["number"],
            )
            assert ["tenant acme version 1"] == [
                each["what"] for each in got.json["decisions"]
            ]

    def test_plain_path(self, api):
        """
        A path whose one parameter is not encoded is understood too.
        """
        got = api.ask(f"/tenants/acme/served?at={AT}&path={TCB}")

        assert (200, 17) == (got.status, got.json["number"])

    def test_own_prefix(self, api):
        """
        The path may name the tenant, and no other one.
        """
        path = f"/tenants/acme/served?at={AT}&path=/tenant/{{}}{TCB}"

        assert 200 == api.ask(path.format("acme"), "acme/reader").status
        for other in ("lab", "root", "nobody", ""):
            got = api.ask(path.format(other), "acme/reader")
            assert (400, "parameter") == problem(got)

    @pytest.mark.parametrize(
        ("query", "status", "reason"),
        [
            ("", 400, "parameter"),
            (f"at={AT}", 404, "unknown-path"),
            (f"at={AT}&path=/nothing", 404, "unknown-path"),
            (f"at={AT}&path=/sgx/certification/v4/tcb", 400, None),
            (f"at={AT}&path=/sgx/certification/v4/tcb%3Ffmspc%3DX", 400, None),
            (f"at={AT}&path=/sgx/certification/v9/tcb", 404, "unknown-path"),
            (f"at={AT}&path=/sgx/certification/v4/pckcert", 404, None),
            (f"at={AT}&path=%FF", 400, "parameter"),
            (f"at={AT}&path=/at/x{TCB}", 400, "parameter"),
            (f"at=2126-01-01&path={TCB}", 400, "parameter"),
            (f"at=yesterday&path={TCB}", 400, "parameter"),
            (f"at=2026-13-01&path={TCB}", 400, "parameter"),
            (f"at=0001-01-01T00:00:00%2B23:59&path={TCB}", 400, "parameter"),
            (f"at=0001-01-01&path={TCB}", 404, "before-archive"),
            (f"at={AT}&path=/baseline/18{TCB}", 403, None),
            (f"at={AT}&path=/baseline/nothing{TCB}", 403, None),
        ],
    )
    def test_refused(self, api, query, status, reason):
        """
        What cannot be answered is refused with the reason.
        """
        got = api.ask(f"/tenants/acme/served?{query}")

        found, why = problem(got)
        assert status == found, got.body
        assert reason in {None, why}


def test_no_secrets(api):
    """
    Nothing of a token is in any answer, or in what is written down.
    """
    api.put("/tenants/new", {**REASON, "baseline": "17"})
    secrets = [text.partition(".")[2] for text in api.tokens.values()]

    paths = ("", "/acme", "/new/history", f"/acme/served?at={AT}&path={TCB}")
    bodies = [api.ask(f"/tenants{path}").body.decode() for path in paths]
    with contextlib.closing(Replica(api.store)) as replica:
        events = replica.rows("SELECT actor, detail FROM events")
    for secret in secrets:
        assert not any(secret in body for body in bodies)
        assert secret not in repr(events)
