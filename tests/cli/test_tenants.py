import os
import pwd

import pytest

from tests.services.changes import count, events
from tests.services.made import INTEL, day
from thim.baseline.provider import AAD
from thim.baseline.provider_definition import describe_provider
from thim.services.tokens import TokenCheck
from thim.store.replica import Replica


@pytest.fixture
def lab(change):
    """
    There is a tenant.
    """
    change.does(
        *("tenant", "create", "lab", "--baseline", "19"),
        *("--host", "Lab.Example", "--label", "team=lab", "--quota", "100"),
    )
    return change


def show(change, name):
    """
    Show a tenant.
    """
    return change.json("tenant", "show", name)


class TestCreate:
    def test_said(self, change):
        """
        That a tenant is there is said; who made it is written down.
        """
        said = change.does("tenant", "create", "lab", "--reason", "new")
        ((actor, action, detail),) = events(change.store)

        assert "Tenant lab is there, at baseline default.\n" == said
        assert actor.startswith(pwd.getpwuid(os.getuid()).pw_name)
        assert "tenant-enact" == action
        assert "tenant lab version 1 from 2025-06-05T03:43:45Z: new" == detail

    def test_shown(self, lab):
        """
        What was given is shown.
        """
        found = show(lab, "lab")
        history = found.pop("history")

        assert {
            "name": "lab",
            "baseline": "19",
            "number": 19,
            "trouble": None,
            "overrides": "never",
            "hosts": ["lab.example"],
            "labels": {"team": "lab"},
            "quota": "100/min per source",
            "version": 1,
            "attestation": describe_provider(AAD),
            "policy_certificates": [],
        } == found
        assert [(1, "created")] == [
            (line["version"], line["reason"]) for line in history
        ]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("sgx",), "name: got 'sgx', expected another: azure, default"),
            (("root",), "name: got 'root'"),
            (("Lab2",), "name: got 'Lab2', expected a lower-case letter"),
            (("19",), "name: got '19'"),
            (("lab",), "there is such a tenant"),
            (("new", "--baseline", "prod"), "baseline 'prod' is not known"),
            (("new", "--baseline", "21"), "known are 17, 18, 19, 20"),
            (("new", "--host", "10.0.0.1"), "--host: got '10.0.0.1'"),
            (("new", "--host", "a_b"), "--host: got 'a_b'"),
            (("new", "--host", "lab.example."), "tenant lab has it"),
            (("new", "--label", "team="), "expected a value"),
            (("new", "--label", "team"), "team"),
            (("new", "--quota", "-1"), "'--quota'"),
            (("new", "--quota-per", "token"), "--quota beside it"),
            (("new", "--overrides", "maybe"), "maybe"),
        ],
    )
    def test_refused(self, lab, words, said):
        """
        What cannot be used is named, and nothing is kept.
        """
        assert said in lab.refuses("tenant", "create", *words)
        assert 1 == count(lab.store, "definitions")


class TestSet:
    def test_others_stay(self, lab):
        """
        What is not given stays.
        """
        said = lab.does("tenant", "set", "lab", "--overrides", "allowed")
        found = show(lab, "lab")

        assert "Tenant lab is at version 2.\n" == said
        assert ("allowed", ["lab.example"], "19", "100/min per source") == (
            found["overrides"],
            found["hosts"],
            found["baseline"],
            found["quota"],
        )

    def test_taken_away(self, lab):
        """
        Hosts, labels and the quota can be taken away.
        """
        lab.does(
            *("tenant", "set", "lab"),
            *("--no-hosts", "--no-labels", "--quota", "0"),
        )
        found = show(lab, "lab")

        assert ([], {}, None) == (
            found["hosts"],
            found["labels"],
            found["quota"],
        )

    def test_quota_per(self, lab):
        """
        What a quota is for can be changed alone.
        """
        lab.does("tenant", "set", "lab", "--quota-per", "token")

        assert "100/min per token" == show(lab, "lab")["quota"]

    def test_root(self, change):
        """
        The root can be changed.
        """
        change.does("tenant", "set", "root", "--quota", "1000")

        assert "1000/min per source" == show(change, "root")["quota"]

    def test_two_admins(self, lab):
        """
        Of two who have seen the same version the second is told.
        """
        seen = ("--if-version", "1")
        lab.does("tenant", "set", "lab", "--host", "a.example", *seen)
        said = lab.refuses("tenant", "set", "lab", "--host", "b.example", *seen)

        assert "tenant lab is at version 2 by now, and not 1" in said
        assert ["a.example"] == show(lab, "lab")["hosts"]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("lab",), "expected something to change"),
            (("lab", "--overrides", "never"), "expected something to change"),
            (("no", "--no-hosts"), "no tenant has the name 'no'"),
        ],
    )
    def test_refused(self, lab, words, said):
        """
        What changes nothing, or nobody, is refused.
        """
        assert said in lab.refuses("tenant", "set", *words)


class TestDelete:
    def test_gone(self, lab):
        """
        It is unknown then; what was decided about it stays.
        """
        said = lab.does("tenant", "delete", "lab", "--reason", "left")

        assert "There is no tenant lab any more.\n" == said
        assert "'lab'" in lab.refuses("tenant", "show", "lab")
        assert ["root"] == [t["name"] for t in lab.json("tenant", "list")]
        assert ["created", "left"] == [
            line["reason"]
            for line in lab.json("baseline", "history", "--tenant", "lab")
        ]

    @pytest.mark.parametrize("name", ["root", "no"])
    def test_refused(self, lab, name):
        """
        The root stays, and who is not there cannot be deleted.
        """
        assert name in lab.refuses("tenant", "delete", name)


class TestList:
    def test_table(self, lab):
        """
        People get a table, the root first.
        """
        title, *lines = lab.does("tenant", "list").splitlines()

        assert ["name", "baseline", "number"] == title.split()[:3]
        assert [
            ["root", "default", "17", "allowed", "-"],
            ["lab", "19", "19", "never", "lab.example"],
        ] == [line.split()[:5] for line in lines]

    def test_show(self, lab):
        """
        And lines of one of them, with its history.
        """
        text = lab.does("tenant", "show", "lab")

        assert "labels              team=lab\n" in text
        assert "version 1 since 2025-06-05T03:43:45Z, by " in text


class TestTokens:
    def make(self, change, *words):
        """
        Make an admin's token.
        """
        return change(
            *("token", "create", "--name", "ci", "--role", "admin"), *words
        )

    def test_of_tenant(self, lab):
        """
        A token can be a tenant's; the listing says whose.
        """
        text = self.make(lab, "--tenant", "lab").text.strip()
        found = self.find(lab, text)

        assert ("lab", "admin") == (found.tenant, found.role.value)
        assert ["lab"] == [
            row["tenant"] for row in lab("token", "list", "--json").json
        ]
        assert "of tenant lab" in events(lab.store)[-1][2]

    def find(self, change, text):
        """
        Find whose token that is.
        """
        replica = Replica(change.store)
        try:
            check = TokenCheck(replica, change.store, INTEL.anchors).check
            return check(text, day(1))
        finally:
            replica.close()

    def test_unknown(self, lab):
        """
        There is none for a tenant that there is not.
        """
        run = self.make(lab, "--tenant", "no")

        assert (2, b"") == (run.code, run.out)
        assert "no tenant has the name 'no'" in run.err
        assert 0 == count(lab.store, "api_tokens")

    def test_deleted(self, lab):
        """
        With the tenant its tokens go, and do not come back with another.
        """
        text = self.make(lab, "--tenant", "lab").text.strip()
        other = self.make(lab).text.strip()
        lab.does("tenant", "delete", "lab")
        lab.does("tenant", "create", "lab")

        assert self.find(lab, text) is None
        assert self.find(lab, other) is not None
        assert {text[:12]: "revoked", other[:12]: "living"} == {
            row["id"]: row["state"]
            for row in lab("token", "list", "--json").json
        }
