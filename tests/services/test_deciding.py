import contextlib
import dataclasses

import pytest

from tests.new_store import new_store
from tests.services.changes import (
    baseline,
    count,
    create,
    decide,
    events,
    list_numbers,
    stand,
)
from tests.services.made import INTEL, day
from thim.baseline.model import Overrides, Tenant
from thim.errors import ConflictError, NotFoundError, ParameterError
from thim.services.deciding import deciding
from thim.services.tokens import Role, TokenCheck, make_token
from thim.store.ledger import Ledger
from thim.store.replica import Replica


@pytest.fixture(autouse=True)
def known(ledger):
    """
    The vendor signs 17 to 20.
    """
    list_numbers(ledger)


def tenant(name, baseline="default", **more):
    """
    Make a tenant that nobody has decided about.
    """
    return Tenant(name=name, baseline=baseline, **more)


def make(ledger, made, n=0):
    """
    Have somebody create a tenant.
    """
    with deciding(ledger) as decider:
        return decider.create_tenant(made, decide(n))


def change(ledger, changed, seen, actor="ann"):
    """
    Have somebody change a tenant whose version they have seen.
    """
    with deciding(ledger) as decider:
        decision = decide(1, actor)
        return decider.change_tenant(changed, decision, seen=seen)


def delete(ledger, name, n=2):
    """
    Have somebody delete a tenant.
    """
    with deciding(ledger) as decider:
        decider.delete_tenant(name, decide(n))


class TestCreate:
    def test_there(self, ledger, store, replica):
        """
        A tenant is there from then on, at its first version.
        """
        made = make(ledger, tenant("lab", "19", hosts=("lab.example",)))

        assert 1 == made.version
        assert made == replica.book().find_tenant("lab", day(0), day(0))
        assert [19] == stand(store, 0, "lab")
        assert [("ann", "tenant-enact")] == [e[:2] for e in events(store)]

    @pytest.mark.parametrize(
        ("made", "words"),
        [
            (tenant("root"), "name: got 'root'"),
            (tenant("sgx"), "name: got 'sgx'"),
            (tenant("early"), "early, latest, root"),
            (tenant("Lab"), "a lower-case letter"),
            (tenant("18"), "a lower-case letter"),
            (tenant("lab/x"), "a lower-case letter"),
            (tenant("a" * 64), "a lower-case letter"),
            (tenant("shop"), "there is such a tenant"),
            (tenant("lab", "no"), "expected a number or one of azure, default"),
            (tenant("lab", "21"), "known are 17, 18, 19, 20"),
            (tenant("lab", "azure"), "known are 17, 18, 19, 20"),
            (
                tenant("lab", hosts=("x.example", "shop.example")),
                "host: got 'shop.example', expected another: tenant shop",
            ),
        ],
    )
    def test_refused(self, ledger, store, made, words):
        """
        What is taken, reserved, mistyped or comes to nothing is refused, and
        nothing is kept of it.
        """
        make(ledger, tenant("shop", hosts=("shop.example",)))
        with pytest.raises((ParameterError, NotFoundError), match=words):
            make(ledger, made)

        assert [1, 1, 1] == [
            count(store, table)
            for table in ("definitions", "enactments", "events")
        ]

    def test_error_later(self, ledger, store):
        """
        Where something fails afterwards, nothing was done.
        """

        def create_two():
            with deciding(ledger) as decider:
                decider.create_tenant(tenant("lab"), decide())
                decider.create_tenant(tenant("no", "no"), decide())

        with pytest.raises(NotFoundError, match="'no'"):
            create_two()

        assert 0 == count(store, "definitions")


class TestChange:
    def test_changed(self, ledger, replica):
        """
        A change is another version; what is not given stays.
        """
        made = make(ledger, tenant("lab", hosts=("lab.example",)))
        wanted = dataclasses.replace(made, overrides=Overrides.ALLOWED)
        done = change(ledger, wanted, 1)

        assert 2 == done.version
        assert done == replica.book().find_tenant("lab", day(1), day(1))
        assert made == replica.book().find_tenant("lab", day(0), day(1))
        assert ("lab.example",) == done.hosts

    def test_two_admins(self, ledger, store, replica):
        """
        Of two who change it at once one is told, and nothing of theirs is
        kept.
        """
        made = make(ledger, tenant("lab"))
        mine, bobs = (
            dataclasses.replace(made, hosts=(host,))
            for host in ("ann.example", "bob.example")
        )
        change(ledger, mine, 1)
        with pytest.raises(ConflictError, match="at version 2 by now") as e:
            change(ledger, bobs, 1, "bob")

        assert "changed-meanwhile" == e.value.reason
        assert 2 == count(store, "definitions")
        assert ("ann.example",) == replica.book().tenants(day(1))[1].hosts

    def test_unknown(self, ledger):
        """
        What there is not cannot be changed.
        """
        with pytest.raises(NotFoundError, match="'no'"):
            change(ledger, tenant("no"), 0)

    def test_root(self, ledger, replica):
        """
        The root can be: its first version takes the place of what thim ships.
        """
        root = replica.book().find_tenant("root", day(0), day(0))
        wanted = dataclasses.replace(root, overrides=Overrides.NEVER)

        assert 1 == change(ledger, wanted, 0).version
        assert [Overrides.ALLOWED, Overrides.NEVER] == [
            replica.book().find_tenant("root", day(n), day(1)).overrides
            for n in (0, 1)
        ]

    def test_own_host(self, ledger):
        """
        A host name that is theirs already stays theirs.
        """
        made = make(ledger, tenant("lab", hosts=("lab.example",)))
        wanted = dataclasses.replace(made, hosts=("lab.example", "l.example"))

        assert 2 == change(ledger, wanted, 1).version

    def test_host_is_free_again(self, ledger):
        """
        A host name that somebody gave up can be another's.
        """
        made = make(ledger, tenant("lab", hosts=("lab.example",)))
        change(ledger, dataclasses.replace(made, hosts=()), 1)
        make(ledger, tenant("shop", hosts=("lab.example",)), 1)


class TestDelete:
    def test_gone(self, ledger, replica):
        """
        It is unknown from then on.
        """
        make(ledger, tenant("lab", hosts=("lab.example",)))
        delete(ledger, "lab")
        book = replica.book()

        assert ["root"] == [t.name for t in book.tenants(day(2))]
        assert ["root", "lab"] == [t.name for t in book.tenants(day(1))]
        assert book.find_host("lab.example", day(2)) is None
        with pytest.raises(NotFoundError, match="'lab'"):
            book.find_tenant("lab", day(1), day(2))

    def test_tokens(self, ledger, store, replica):
        """
        Its tokens count no more, also when there is another tenant of the same
        name; those of others do.
        """
        texts = []
        for owner in ("lab", "shop", None):
            if owner:
                make(ledger, tenant(owner))
            text, kept = make_token(
                "ci", Role.ADMIN, actor="ann", now=day(0), tenant=owner
            )
            ledger.tokens.add(kept)
            texts.append(text)
        delete(ledger, "lab")
        make(ledger, tenant("lab"), 3)
        check = TokenCheck(replica, store, INTEL.anchors).check
        found = [check(text, day(3)) for text in texts]

        assert [None, "shop", None] == [p and p.tenant for p in found]
        assert found[0] is None
        assert found[2] is not None
        assert "token-revoke" in [action for _, action, _ in events(store)]

    def test_again(self, ledger, replica):
        """
        Another of that name is a later version.
        """
        make(ledger, tenant("lab", "19"))
        delete(ledger, "lab", 0)

        assert 3 == make(ledger, tenant("lab", "20")).version
        assert (
            "20" == replica.book().find_tenant("lab", day(0), day(0)).baseline
        )

    @pytest.mark.parametrize(
        ("name", "words"), [("root", "it stays"), ("no", "'no'")]
    )
    def test_refused(self, ledger, name, words):
        """
        The root stays, and what there is not cannot be deleted.
        """
        with pytest.raises((ParameterError, NotFoundError), match=words):
            delete(ledger, name)

    def test_twice(self, ledger):
        """
        Nor can what is deleted.
        """
        make(ledger, tenant("lab"))
        delete(ledger, "lab")
        with pytest.raises(NotFoundError):
            delete(ledger, "lab", 3)


class TestYields:
    @pytest.mark.parametrize(
        ("wanted", "number"),
        [
            (baseline("b", "number: 19"), 19),
            (baseline("b", "early"), 20),
            (baseline("b", "tcb-date: 2024-12-01"), 18),
            (baseline("b", "trailing: 9d", floor=20), 20),
        ],
    )
    def test_number(self, ledger, wanted, number):
        """
        What a baseline comes to is found before it is kept.
        """
        with deciding(ledger) as decider:
            assert number == decider.check_yields(wanted, day(0))


def test_one_after_the_other(ledger, store):
    """
    Of two processes each waits until the other has decided.
    """
    create(ledger, "lab")
    with Ledger(store, INTEL.anchors) as other:
        with deciding(ledger) as decider:
            assert decider.book.tenants(day(0))
        with deciding(other) as decider:
            decider.delete_tenant("lab", decide())
        with deciding(ledger) as decider:
            assert ["root"] == [t.name for t in decider.book.tenants(day(0))]


class TestEmpty:
    @pytest.fixture
    def empty(self, tmp_path):
        """
        A store of which nothing is known.
        """
        path = tmp_path / "empty.db"
        new_store(path, INTEL.anchors)
        with Ledger(path, INTEL.anchors) as opened:
            yield opened

    @pytest.mark.parametrize(
        "rule", ["standard", "early", "trailing: 540d", "lag: 1 event"]
    )
    def test_floating(self, empty, rule):
        """
        Tenants and floating baselines can be set up before the first document
        is there.
        """
        with deciding(empty) as decider:
            assert decider.check_yields(baseline("b", rule), day(0)) is None
            decider.create_tenant(tenant("lab"), decide())

    @pytest.mark.parametrize(
        ("wanted", "words"),
        [
            (baseline("b", "number: 19"), "known are none"),
            (
                baseline("b", "tcb-date: 2025-01-01"),
                "TCB dates are known: none",
            ),
            (baseline("b", "standard", floor=19), "expected none: no number"),
        ],
    )
    def test_number(self, empty, wanted, words):
        """
        What names a number or a date cannot.
        """
        with (
            pytest.raises((NotFoundError, ParameterError), match=words),
            deciding(empty) as decider,
        ):
            decider.check_yields(wanted, day(0))


def test_reads_what_was_before(ledger, store):
    """
    What a decision is checked against is what others have decided by then.
    """
    create(ledger, "lab")
    with (
        deciding(ledger) as decider,
        contextlib.closing(Replica(store)) as replica,
    ):
        decider.delete_tenant("lab", decide())

        assert decider.book.tenants(day(0)) == replica.book().tenants(day(0))
