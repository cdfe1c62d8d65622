"""
Bearers that are no longer good, or never were, change no provider.
"""

import datetime

import pytest

from tests.http.attestation_serving import Provider, V, serving_providers
from tests.platforms import NOW
from tests.policy_signers import DENY, policy, unsigned
from thim.services.tokens import Role, make_token
from thim.store.ledger import Ledger


POLICY = f"/policies/SgxEnclave?{V}"
RAW = unsigned(policy(DENY))
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def acme(intel, tmp_path):
    """
    A provider that is managed by tokens alone.
    """
    with serving_providers(intel, tmp_path) as api:
        yield Provider(api, "acme")


def put(acme, bearer):
    """
    Set a policy with a bearer; return the status.
    """
    got = acme.ask(
        POLICY,
        None,
        method="PUT",
        body=RAW,
        authorization=f"Bearer {bearer}",
    )
    return got.status


def make(acme, intel, *, is_revoked=False, expires=None):
    """
    Make a token for acme's provider.
    """
    text, kept = make_token(
        "x",
        Role.ADMIN,
        actor="root",
        now=NOW - 2 * SECOND,
        tenant="acme",
        expires=expires,
    )
    with Ledger(acme.api.store, intel.anchors) as ledger:
        ledger.tokens.add(kept)
        if is_revoked:
            ledger.tokens.revoke(kept.id, actor="root", now=NOW)
    return text


class TestReplayed:
    def test_good(self, acme, intel):
        """
        A token that counts changes the policy: what follows can fail.
        """
        before = acme.policy()

        assert 200 == put(acme, make(acme, intel))
        assert before != acme.policy()

    def test_revoked(self, acme, intel):
        """
        One that was revoked changes nothing any more.
        """
        before = acme.policy()

        assert 401 == put(acme, make(acme, intel, is_revoked=True))
        assert before == acme.policy()

    def test_expired(self, acme, intel):
        """
        Nor does one that has expired.
        """
        before = acme.policy()

        assert 401 == put(acme, make(acme, intel, expires=NOW - SECOND))
        assert before == acme.policy()

    def test_our_own_answer(self, acme):
        """
        What the service has signed itself is no bearer: an answer about a
        policy names nobody who may change it.
        """
        before = acme.policy()
        answer = acme.ask(POLICY).json["token"]

        assert 401 == put(acme, answer)
        assert before == acme.policy()


class TestForged:
    @pytest.mark.parametrize(
        "forge",
        [
            lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
            lambda text: text.partition(".")[0] + "." + "A" * 43,
            lambda text: text.partition(".")[0],
            lambda text: "0" * 12 + text[12:],
            lambda text: text + "A",
            lambda text: text.upper(),
            lambda _: "eyJhbGciOiJub25lIn0.eyJyb2xlcyI6WyJhZG1pbiJdfQ.",
        ],
        ids=[
            "another end",
            "another secret",
            "no secret",
            "another ID",
            "longer",
            "letter case",
            "unsigned JWT",
        ],
    )
    def test_forged(self, acme, intel, forge):
        """
        What only looks like a token that counts changes nothing.
        """
        before = acme.policy()

        assert 401 == put(acme, forge(make(acme, intel)))
        assert before == acme.policy()
