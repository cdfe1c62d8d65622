"""
Policies of attestation providers: who changes them, and what is in force.
"""

import contextlib
import dataclasses
import sqlite3
import threading

from typing import Any

import pytest

from tests.policy_signers import (
    DENY,
    PERMIT,
    RECORDED,
    certificate,
    policy,
    signed,
    signer,
    unsigned,
)
from tests.services.changes import count, create, decide, events, list_numbers
from tests.services.made import INTEL, day, fill
from thim.attestation.kind import AttestationType
from thim.attestation.policy.defaults import DEFAULT_POLICIES
from thim.attestation.policy.errors import PolicySyntaxError
from thim.attestation.policy_jws import write_unsigned
from thim.baseline.model import Tenant
from thim.baseline.provider import Provider, TrustModel
from thim.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    OperatorError,
    ParameterError,
    ThimError,
    UnavailableError,
    UntrustedError,
)
from thim.services.attestation_policies import (
    Management,
    describe_certificates,
    find_policy,
)
from thim.services.audit import audit
from thim.services.deciding import deciding
from thim.services.tcb_baselines import describe_tcb_baselines
from thim.simulate.pki import NUMBERS
from thim.store.attestation_view import MOST_CERTIFICATES, AttestationView
from thim.store.ledger import Ledger
from thim.store.replica import Replica


SGX = AttestationType.SGX_ENCLAVE
ISOLATED = Provider(trust=TrustModel.ISOLATED)
SHARED = Provider(trust=TrustModel.SHARED)


@pytest.fixture(autouse=True)
def lab(ledger):
    """
    There is a tenant.
    """
    list_numbers(ledger)
    create(ledger, "lab")


def manage(ledger, n=1, **more):
    """
    Somebody manages it on the nth day.
    """
    return Management(
        ledger=ledger, tenant="lab", actor="ann", clock=lambda: day(n), **more
    )


def change(ledger, provider, *certificates, n=1):
    """
    Change its attestation side.
    """
    with deciding(ledger) as decider:
        current = decider.book.find_tenant("lab", day(n), day(n))
        decider.change_tenant(
            dataclasses.replace(current, provider=provider),
            decide(n),
            seen=current.version,
            certificates=certificates,
        )


def isolate(ledger, n=1):
    """
    Let ann sign its policies.
    """
    change(ledger, ISOLATED, signer().der, n=n)


def in_force(ledger, n=2, kind=SGX):
    """
    Find its policy on the nth day.
    """
    with contextlib.closing(Replica(ledger.path)) as replica:
        tenant = replica.book().find_tenant("lab", day(n), day(n))
        return find_policy(replica, tenant, kind)


class TestInForce:
    def test_default(self, ledger):
        """
        Without anything set the default is in force.
        """
        found = in_force(ledger)

        text = DEFAULT_POLICIES[SGX]
        assert (write_unsigned(text), text, None) == (
            found.jws,
            found.text,
            found.signer,
        )

    def test_set(self, ledger):
        """
        What was set last is, and who signed it is known.
        """
        raw = signed(policy(DENY), signer())
        manage(ledger).set_policy(SGX, RECORDED)
        manage(ledger).set_policy(SGX, raw)

        found = in_force(ledger)
        assert (raw, DENY) == (found.jws, found.text)
        assert signer().der == found.signer.der

    def test_preview(self, ledger):
        """
        What the API of 2018 has set is read as well.
        """
        raw = unsigned({"AttestationPolicy": DENY})
        manage(ledger, is_preview=True).set_policy(SGX, raw)

        assert DENY == in_force(ledger).text

    def test_shared(self, ledger):
        """
        While a provider is shared its own policies are not in force.
        """
        manage(ledger).set_policy(SGX, write_unsigned(DENY))
        change(ledger, SHARED)
        assert DEFAULT_POLICIES[SGX] == in_force(ledger).text

        change(ledger, Provider(), n=2)
        assert DENY == in_force(ledger).text

    def test_noticed(self, ledger):
        """
        An open store notices what others set.
        """
        with contextlib.closing(Replica(ledger.path)) as replica:
            tenant = replica.book().find_tenant("lab", day(2), day(2))
            before = find_policy(replica, tenant, SGX)
            assert before is find_policy(replica, tenant, SGX)
            manage(ledger).set_policy(SGX, RECORDED)
            assert PERMIT == find_policy(replica, tenant, SGX).text

    @pytest.mark.parametrize("jws", [b"x", RECORDED[:-5] + b"!!!!."])
    def test_damaged(self, ledger, jws):
        """
        What cannot be read any more is no caller's fault, and never the
        default.
        """
        manage(ledger).set_policy(SGX, RECORDED)
        with contextlib.closing(sqlite3.connect(ledger.path)) as db:
            db.execute("UPDATE attestation_policies SET jws = ?", (jws,))
            db.commit()

        with pytest.raises(UnavailableError, match="makes no sense"):
            in_force(ledger)

    def test_forged_in_the_store(self, ledger):
        """
        Nor is what was signed and changed afterwards.
        """
        manage(ledger).set_policy(SGX, signed(policy(), signer()))
        forged = signed(policy(DENY), signer())
        bad = forged[:-6] + (b"AAAAAA" if forged[-6:] != b"AAAAAA" else b"B")
        with contextlib.closing(sqlite3.connect(ledger.path)) as db:
            db.execute("UPDATE attestation_policies SET jws = ?", (bad,))
            db.commit()

        with pytest.raises(UnavailableError):
            in_force(ledger)


class TestChecked:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "expected"),
            ("version=1.0; authorizationrules{=> permit()};", "expected"),
            (
                'version=1.0; issuancerules{=> issue(type="jti", value=9);};',
                "not the service's own",
            ),
        ],
    )
    def test_refused(self, ledger, text, words):
        """
        What is no policy, or would forge a claim, is not put in force.
        """
        with pytest.raises(PolicySyntaxError, match=words):
            manage(ledger).set_policy(SGX, write_unsigned(text))
        assert 0 == count(ledger.path, "attestation_policies")


class TestShared:
    def test_nothing(self, ledger):
        """
        Nobody changes a shared provider.
        """
        change(ledger, SHARED)
        made = manage(ledger)
        empty = write_unsigned(None)

        for work in (
            lambda: made.set_policy(SGX, RECORDED),
            lambda: made.reset_policy(SGX, empty),
            lambda: made.add_certificate(unsigned(certificate(signer()))),
            lambda: made.remove_certificate(unsigned(certificate(signer()))),
        ):
            with pytest.raises(ForbiddenError, match="is shared"):
                work()
        assert 0 == count(ledger.path, "attestation_policies")


class TestTrust:
    def test_needs_certificate(self, ledger):
        """
        A provider is isolated only with a certificate.
        """
        with pytest.raises(ParameterError, match="nobody could sign"):
            change(ledger, ISOLATED)

    def test_unsigned_policy(self, ledger):
        """
        It is not while a policy is in force that nobody of them has signed:
        that has to be reset first.
        """
        manage(ledger).set_policy(SGX, RECORDED)
        with pytest.raises(ParameterError, match="SgxEnclave to be reset"):
            isolate(ledger)
        assert 0 == count(ledger.path, "policy_certificates")

        manage(ledger).set_policy(SGX, signed(policy(), signer("bob")))
        with pytest.raises(ParameterError, match="SgxEnclave to be reset"):
            isolate(ledger)

        manage(ledger).set_policy(SGX, signed(policy(), signer()))
        isolate(ledger)
        assert PERMIT == in_force(ledger).text

    def test_not_isolated(self, ledger):
        """
        Certificates are for isolated providers.
        """
        with pytest.raises(ParameterError, match="expected isolated"):
            change(ledger, Provider(), signer().der)

    def test_certificates_hidden(self, ledger):
        """
        One that is isolated no more lists none.
        """
        isolate(ledger)
        change(ledger, Provider(), n=2)
        with contextlib.closing(Replica(ledger.path)) as replica:
            tenant = replica.book().find_tenant("lab", day(3), day(3))
            found = describe_certificates(replica, tenant)

        assert {"x-ms-policy-certificates": {"keys": []}} == found

    def test_taken_issuer(self, ledger):
        """
        An issuer is one tenant's.
        """
        create(ledger, "acme")
        issuer = "https://lab.example"
        change(ledger, Provider(issuer=issuer))
        with deciding(ledger) as decider:
            acme = decider.book.find_tenant("acme", day(2), day(2))
            other = dataclasses.replace(
                acme, provider=Provider(issuer=f"{issuer}/x")
            )
            with pytest.raises(ParameterError, match="issuer of tenant lab"):
                decider.change_tenant(other, decide(2), seen=acme.version)

    def test_deleted(self, ledger):
        """
        With a tenant go its policies and certificates, and that is written
        down.
        """
        isolate(ledger)
        raw = signed(policy(DENY), signer())
        manage(ledger).set_policy(SGX, raw)
        with deciding(ledger) as decider:
            decider.delete_tenant("lab", decide(2))
        assert {
            "attestation-policy-reset",
            "policy-certificate-remove",
        } <= {action for _, action, _ in events(ledger.path)}
        with deciding(ledger) as decider:
            new = Tenant(name="lab", baseline="default")
            decider.create_tenant(new, decide(3))

        assert DEFAULT_POLICIES[SGX] == in_force(ledger, 4).text
        assert [] == list(ledger.attestation_policies.certificates("lab"))

    def test_gone(self, ledger):
        """
        Who is gone has no policies to change.
        """
        with deciding(ledger) as decider:
            decider.delete_tenant("lab", decide(2))

        with pytest.raises(NotFoundError):
            manage(ledger, 3).set_policy(SGX, RECORDED)


class TestRaces:
    def test_last_two(self, ledger):
        """
        Of two certificates that remove each other at the same time one stays.
        """
        isolate(ledger)
        bob = signer("bob")
        manage(ledger).add_certificate(signed(certificate(bob), signer()))
        requests = [
            signed(certificate(bob), signer()),
            signed(certificate(signer()), bob),
        ]
        results = at_once(
            ledger, [lambda m, r=r: m.remove_certificate(r) for r in requests]
        )

        (error,) = [r for r in results if isinstance(r, ThimError)]
        assert isinstance(error, UntrustedError | ConflictError)
        assert 1 == len(ledger.attestation_policies.certificates("lab"))

    def test_removed_meanwhile(self, ledger):
        """
        Whoever is removed while a policy is on its way is not trusted.
        """
        isolate(ledger)
        bob = signer("bob")
        manage(ledger).add_certificate(signed(certificate(bob), signer()))
        results = at_once(
            ledger,
            [
                lambda m: m.set_policy(SGX, signed(policy(DENY), bob)),
                lambda m: m.remove_certificate(
                    signed(certificate(bob), signer())
                ),
            ],
        )

        set_first = [
            action
            for _, action, _ in events(ledger.path)
            if action in {"attestation-policy-set", "policy-certificate-remove"}
        ]
        was_refused = isinstance(results[0], UntrustedError)
        assert was_refused == (["policy-certificate-remove"] == set_first)

    def test_many(self, ledger):
        """
        Of many policies that are set at the same time each is kept once.
        """
        raws = [write_unsigned(f"{PERMIT}//{n}") for n in range(8)]
        results = at_once(
            ledger, [lambda m, r=r: m.set_policy(SGX, r) for r in raws]
        )

        assert 8 == sum("x-ms-policy-result" in each for each in results)
        assert 8 == count(ledger.path, "attestation_policies")
        assert in_force(ledger).jws in raws


def at_once(ledger, works):
    """
    Do several things at the same time, each with a store of its own.
    """
    results: list[Any] = [None] * len(works)
    gate = threading.Barrier(len(works))

    def run(n, work):
        with Ledger(ledger.path, INTEL.anchors) as own:
            gate.wait()
            try:
                results[n] = work(manage(own))
            except ThimError as e:
                results[n] = e

    threads = [
        threading.Thread(target=run, args=pair) for pair in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class TestStore:
    def test_many_certificates(self, ledger):
        """
        There is a bound to certificates; those that are removed do not count.
        """
        policies = ledger.attestation_policies
        when = {"actor": "ann", "at": day(0)}
        ders = [b"%d" % n for n in range(MOST_CERTIFICATES + 1)]
        for der in ders[:-1]:
            assert policies.add_certificate("lab", der, **when)
        assert not policies.add_certificate("lab", ders[0], **when)
        with pytest.raises(OperatorError, match="has 64 policy certificates"):
            policies.add_certificate("lab", ders[-1], **when)

        assert policies.remove_certificate("lab", ders[0], **when)
        assert not policies.remove_certificate("lab", ders[0], **when)
        assert policies.add_certificate("lab", ders[-1], **when)
        assert ders[1:] == list(policies.certificates("lab"))

    def test_past(self, ledger, replica):
        """
        All that ever was can be read.
        """
        manage(ledger).set_policy(SGX, RECORDED)
        manage(ledger).reset_policy(SGX, write_unsigned(None))
        isolate(ledger)
        view = AttestationView(replica)

        assert [(RECORDED, "ann"), (None, "ann")] == [
            (each.jws, each.actor) for each in view.history("lab", SGX.value)
        ]
        assert view.find_policy("lab", "Tpm") is None
        (stored,) = view.certificates("lab")
        assert (signer().der, "ann", day(1)) == (
            stored.der,
            stored.actor,
            stored.added,
        )


class TestAudit:
    def test_sound(self, ledger):
        """
        With policies and certificates of every kind nothing is wrong.
        """
        manage(ledger).set_policy(SGX, signed(policy(), signer()))
        manage(ledger).reset_policy(SGX, write_unsigned(None))
        raw = unsigned({"AttestationPolicy": DENY})
        manage(ledger, is_preview=True).set_policy(SGX, raw)
        manage(ledger).reset_policy(SGX, write_unsigned(None))
        isolate(ledger)

        assert () == audit(ledger).findings

    @pytest.mark.parametrize(
        ("statement", "value", "reason"),
        [
            ("attestation_policies SET jws", b"x", "policy-jws"),
            ("attestation_policies SET jws", RECORDED[:-20], "policy-jws"),
            (
                "attestation_policies SET jws",
                write_unsigned(None),
                "policy-jws",
            ),
            ("policy_certificates SET sha256", b"x", "digest"),
            ("policy_certificates SET der", b"x", "malformed"),
        ],
    )
    def test_damaged(self, ledger, statement, value, reason):
        """
        What cannot be read is found, and whose it is.
        """
        manage(ledger).set_policy(SGX, signed(policy(), signer()))
        isolate(ledger)
        with contextlib.closing(sqlite3.connect(ledger.path)) as db:
            db.execute(f"UPDATE {statement} = ?", (value,))
            db.commit()

        findings = audit(ledger).findings
        assert reason in {finding.reason for finding in findings}
        assert all("tenant lab" in finding.record for finding in findings)


def selected(replica, tenant, wanted):
    """
    List the numbers that are marked.
    """
    listed = describe_tcb_baselines(replica, tenant, wanted, day(2))
    return [
        each["tcbEvaluationDataNumber"]
        for each in listed
        if each["isSelectedTcb"]
    ]


class TestSelected:
    @pytest.fixture(autouse=True)
    def archived(self, ledger):
        """
        There are documents of three numbers, one of them long gone.
        """
        documents = (INTEL.tcb_info(number=n) for n in (12, 17, 18))
        fill(ledger, INTEL.root_crl(), INTEL.pck_crl(), *documents)

    def test_listed(self, replica):
        """
        Numbers that Azure documents have its date and software, others the
        date of the vendor's event.
        """
        tenant = replica.book().find_tenant("lab", day(2), day(2))
        listed = describe_tcb_baselines(replica, tenant, "17", day(2))

        assert [
            {
                "isSelectedTcb": False,
                "tcbEvaluationDataNumber": 18,
                "tcbIdentifier": "18",
                "tcbReleaseDate": f"{NUMBERS[18]:%Y-%m-%d}T00:00:00",
            },
            {
                "isSelectedTcb": True,
                "tcbEvaluationDataNumber": 17,
                "tcbIdentifier": "17",
                "tcbReleaseDate": f"{NUMBERS[17]:%Y-%m-%d}T00:00:00",
            },
            {
                "isSelectedTcb": False,
                "minimumPswLinuxVersion": "2.13.3",
                "minimumPswWindowsVersion": "2.13.100.2",
                "tcbEvaluationDataNumber": 12,
                "tcbIdentifier": "12",
                "tcbReleaseDate": "2021-11-10T00:00:00",
            },
        ] == listed

    def test_own(self, ledger, replica):
        """
        A provider attests by its tenant's baseline.
        """
        with deciding(ledger) as decider:
            current = decider.book.find_tenant("lab", day(1), day(1))
            changed = dataclasses.replace(current, baseline="18")
            decider.change_tenant(changed, decide(1), seen=current.version)
        tenant = replica.book().find_tenant("lab", day(2), day(2))

        assert [18] == selected(replica, tenant, None)

    def test_policy(self, ledger, replica):
        """
        What its policy asks for comes before that.
        """
        tenant = replica.book().find_tenant("lab", day(2), day(2))

        assert [18] == selected(replica, tenant, "18")

    def test_none(self, ledger, replica):
        """
        Where that comes to no number, none is in force.
        """
        tenant = replica.book().find_tenant("lab", day(2), day(2))
        nobody = dataclasses.replace(tenant, name="nobody")

        assert [] == selected(replica, nobody, None)
