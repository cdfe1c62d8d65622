"""
Agents that enrol with their pod's token, by the issuer of a Kubernetes cluster.
"""

import datetime
import json

import pytest

from tests.new_store import new_store
from tests.services.issuer import issuing
from tests.services.made import INTEL
from tests.serving import serving
from tests.vendors import await_so
from thim.services.tokens import Role


AGENTS = "/admin/v1/agents"
WHOAMI = "/admin/v1/whoami"
SUBJECT = "system:serviceaccount:thim:thim-agent"


@pytest.fixture(scope="module")
def issuer():
    """
    The cluster's issuer, asked without a proxy.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        with issuing() as running:
            yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory, issuer):
    """
    A service that takes its tokens, of one service account.
    """
    path = tmp_path_factory.mktemp("agents") / "thim.db"
    new_store(path, INTEL.anchors)
    settings = issuer.settings(
        audiences=("thim",),
        roles=((SUBJECT, Role.ENROLMENT),),
        roles_claim=("sub",),
    )
    with serving(path, anchors=INTEL.anchors, openid=settings) as running:
        await_so(lambda: enrol(running, sign(issuer)).status != 503)
        yield running


def sign(issuer, sub=SUBJECT, aud="thim"):
    """
    Make a token as a cluster projects one into a pod.
    """
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    return issuer.sign(
        aud=[aud],
        sub=sub,
        roles=None,
        iat=now,
        nbf=now,
        exp=now + 3600,
        **{
            "kubernetes.io": {
                "namespace": "thim",
                "node": {"name": "node-1", "uid": "4c5e"},
                "pod": {"name": "thim-agent-x7q2p", "uid": "90ab"},
                "serviceaccount": {"name": "thim-agent", "uid": "77cd"},
            }
        },
    )


def enrol(served, token, name="node-1"):
    """
    Ask for an agent's own token.
    """
    body = json.dumps({"name": name}).encode()
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token}",
    }
    return served.get(AGENTS, headers, "POST", body)


def test_each_node(served, issuer):
    """
    Each node gets a token of its own, and one that lost it another: the pod's
    token does not count only once.
    """
    token = sign(issuer)
    got = [enrol(served, token, name) for name in ("a", "b", "a")]
    assert [201] * 3 == [each.status for each in got]
    tokens = [each.json["token"] for each in got]
    assert 3 == len(set(tokens))
    who = served.get(WHOAMI, {"Authorization": f"Bearer {tokens[0]}"})
    assert ("a", "agent") == (who.json["name"], who.json["role"])


def test_nothing_else(served, issuer):
    """
    The pod's token itself registers nothing.
    """
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {sign(issuer)}",
    }
    path = f"/admin/v1/chips/Milan/{'ab' * 64}"
    got = served.get(path, headers, "PUT", b'{"tcb": "DB18000000000004"}')
    assert (403, "role") == (got.status, got["thim-reason"])


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": "system:serviceaccount:thim:default"},
        {"sub": "system:serviceaccount:other:thim-agent"},
        {"aud": "https://kubernetes.default.svc"},
    ],
    ids=["account", "namespace", "audience"],
)
def test_others(served, issuer, changed):
    """
    Another pod's token counts for nothing, nor one that is for another
    service.
    """
    got = enrol(served, sign(issuer, **changed))
    assert (401, "token-refused") == (got.status, got["thim-reason"])
