import asyncio
import base64
import contextlib
import dataclasses
import json
import os
import re
import sqlite3
import subprocess
import sys

import pytest

from cryptography import x509

from tests.attestation.signing import DAY, HOUR, ISSUER, NOW
from tests.conftest import PROJECT
from tests.services.made import INTEL
from tests.tsm import playing_kernel
from thim.attestation.signing_certificate import EvidenceKind
from thim.attestation.signing_key import (
    KEPT,
    LEAD,
    LIFE,
    KeyState,
    find_state,
)
from thim.attestation.token import digest_key, read_public_key
from thim.errors import OperatorError, UnavailableError
from thim.services.secrets import replace
from thim.services.signing import SigningDesk
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.simulate.simulation import Simulation
from thim.simulate.world import default_world
from thim.store.replica import Replica, spell_anchors
from thim.store.signing_key_view import SigningKeyView


@pytest.fixture
def place(store, tmp_path):
    """
    Where keys are made: on a machine that is no TEE.
    """
    return SigningPlace(
        store=store,
        anchors=INTEL.anchors,
        key_file=tmp_path / "thim.key",
        tsm_root=tmp_path / "none",
    )


@pytest.fixture
def view(replica):
    """
    The signing keys of the store.
    """
    return SigningKeyView(replica)


@contextlib.contextmanager
def desks(place, number=1):
    """
    Open so many desks, as in so many processes.
    """
    with contextlib.ExitStack() as stack:
        replicas = [
            stack.enter_context(contextlib.closing(Replica(place.store)))
            for _ in range(number)
        ]
        yield [SigningDesk(replica, place, lambda: NOW) for replica in replicas]


@pytest.fixture
def desk(place):
    """
    A desk.
    """
    with desks(place) as (opened,):
        yield opened


def at_desk(work):
    """
    Run *work* on an event loop.
    """
    return asyncio.run(work)


def provide(desk, now=NOW):
    """
    Return the key that signs.
    """
    return at_desk(desk.provide(now)).kid


def published(desk, now=NOW):
    """
    Return by what the published keys are known.
    """
    return [kid for kid, _ in at_desk(desk.list_certificates(ISSUER, now))]


def revoke(ledger, kid, now=NOW):
    """
    Revoke a key.
    """
    return ledger.signing_keys.revoke(kid, actor="me", now=now)


class TestFirst:
    def test_when_needed(self, desk, view):
        """
        The first key is made when it is needed, and signs at once.
        """
        at_desk(desk.look(NOW))
        assert () == view.all()
        assert desk.find(NOW) is None

        kid = provide(desk)
        (key,) = view.all()
        assert (kid, NOW, NOW, "thim") == (
            key.kid,
            key.created,
            key.active_from,
            key.actor,
        )
        assert desk.find(NOW) is at_desk(desk.provide(NOW))

    def test_signs(self, desk):
        """
        It signs tokens that its certificate verifies.
        """
        signer = at_desk(desk.provide(NOW))
        found = json.loads(at_desk(desk.write_jwks(ISSUER, NOW)))
        (key,) = found["keys"]
        certificate = x509.load_der_x509_certificate(
            base64.b64decode(key["x5c"][0])
        )

        assert key["kid"] == signer.kid
        assert signer.private_key.public_key() == certificate.public_key()
        assert f"CN={ISSUER}" == certificate.subject.rfc4514_string()
        assert NOW == certificate.not_valid_before_utc

    def test_for_the_asking(self, desk, view):
        """
        Who asks for the published keys first has the first one made as well.
        """
        kids = published(desk)

        assert kids == [key.kid for key in view.all()]
        assert 1 == len(kids)

    def test_at_once(self, place, view):
        """
        Many who need it at once get the same.
        """

        async def ask(opened):
            asking = [desk.provide(NOW) for desk in opened * 3]
            return {signer.kid for signer in await asyncio.gather(*asking)}

        with desks(place, 3) as opened:
            found = at_desk(ask(opened))

        assert found == {key.kid for key in view.all()}
        assert 1 == len(found)

    def test_processes(self, place, view):
        """
        So do several processes.
        """
        pins = spell_anchors(place.anchors)
        command = [sys.executable, "-m", "tests.services.signer"]
        running = [
            subprocess.Popen(
                [*command, place.store, place.key_file, pins],
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        found = {process.communicate(timeout=60)[0] for process in running}

        assert found == {f"{key.kid}\n" for key in view.all()}
        assert 1 == len(found)

    def test_same_certificates(self, place):
        """
        All processes publish the same bytes.
        """
        with desks(place, 2) as opened:
            assert 1 == len(
                {at_desk(desk.write_jwks(ISSUER, NOW)) for desk in opened}
            )

    def test_remembered(self, desk):
        """
        A certificate is made once for each issuer.
        """
        first, again, other = (
            at_desk(desk.list_certificates(issuer, NOW))[0][1]
            for issuer in (ISSUER, ISSUER, f"{ISSUER}/tenant/acme")
        )

        assert first is again
        assert first != other


class TestRotation:
    def test_in_time(self, desk, view):
        """
        A day before its end the next key is made, once; it is published from
        then on, and signs when it is time.
        """
        first = provide(desk)
        at_desk(desk.look(NOW + LIFE - LEAD - HOUR))
        assert [first] == published(desk)

        due = NOW + LIFE - LEAD
        for _ in range(2):
            at_desk(desk.look(due))
        _, second = view.all()
        assert NOW + LIFE == second.active_from
        assert [first, second.kid] == published(desk, due)
        assert first == provide(desk, NOW + LIFE - HOUR)
        assert second.kid == provide(desk, NOW + LIFE)
        assert [second.kid, first] == published(desk, NOW + LIFE)
        assert [second.kid] == published(desk, NOW + LIFE + KEPT)

    def test_by_one(self, place, view):
        """
        Of many processes one makes it.
        """
        due = NOW + LIFE - LEAD

        async def look(opened):
            await asyncio.gather(*(desk.look(due) for desk in opened))

        with desks(place, 3) as opened:
            provide(opened[0])
            at_desk(look(opened))

        assert 2 == len(view.all())

    def test_certificates_stay(self, desk):
        """
        A key's certificate is the same before, while and after it signs.
        """
        provide(desk)
        at_desk(desk.look(NOW + LIFE - LEAD))
        found = [
            dict(at_desk(desk.list_certificates(ISSUER, NOW + LIFE + later)))
            for later in (-HOUR, HOUR)
        ]

        assert found[0] == found[1]
        assert 2 == len(found[0])


class TestStep:
    def test_trouble(self, place, caplog):
        """
        What keeps the next key from being made is said once, and again when it
        comes back.
        """

        async def look(desk):
            await desk.provide(NOW)
            kept = place.key_file.read_bytes()
            for is_there in (False, False, True, False):
                if is_there:
                    replace(place.key_file, kept)
                else:
                    place.key_file.unlink(missing_ok=True)
                await desk.step()

        clock = iter([NOW + LIFE] * 3 + [NOW + 2 * LIFE + DAY])
        with contextlib.closing(Replica(place.store)) as replica:
            at_desk(look(SigningDesk(replica, place, lambda: next(clock))))

        assert 2 == caplog.text.count("the next signing key is not made")
        assert "key-lost" not in caplog.text


class TestRevocation:
    def test_at_once(self, desk, ledger):
        """
        A key that was revoked is gone at once, and another one signs.
        """
        first = provide(desk)
        revoke(ledger, first, NOW + HOUR)
        second = provide(desk, NOW + HOUR)

        assert second != first
        assert [second] == published(desk, NOW + HOUR)

    def test_without_asking(self, desk, ledger, view):
        """
        It is replaced also where nobody asks.
        """
        revoke(ledger, provide(desk), NOW + HOUR)
        at_desk(desk.look(NOW + HOUR))
        _, second = view.all()

        assert NOW + HOUR == second.active_from

    def test_not_the_one_before(self, desk, ledger):
        """
        The key before it does not come back.
        """
        first = provide(desk)
        at_desk(desk.look(NOW + LIFE - LEAD))
        later = NOW + LIFE + DAY
        second = provide(desk, later)
        revoke(ledger, second, later)
        third = provide(desk, later)

        assert 3 == len({first, second, third})
        assert [third] == published(desk, later)

    def test_coming(self, desk, ledger, view):
        """
        In the place of one that was to come another is made.
        """
        first = provide(desk)
        due = NOW + LIFE - LEAD
        at_desk(desk.look(due))
        revoke(ledger, view.all()[1].kid, due + HOUR)
        at_desk(desk.look(due + HOUR))
        third = view.all()[-1]

        assert due + HOUR + LEAD == third.active_from
        assert [first, third.kid] == published(desk, due + HOUR)


class TestClock:
    def test_back(self, desk, view):
        """
        A key that has not begun never signs: where the clock has gone back
        another one does, and the first comes back with it.
        """
        first = provide(desk)
        second = provide(desk, NOW - DAY)

        assert second != first
        assert [second, first] == published(desk, NOW - DAY)
        assert first == provide(desk, NOW)
        assert 2 == len(view.all())

    def test_ahead(self, desk):
        """
        A key that a clock far ahead has left does not keep the next from being
        made.
        """
        provide(desk)
        far = NOW + 3650 * DAY
        at_desk(desk.look(far))
        due = NOW + LIFE - LEAD
        at_desk(desk.look(due))
        _, second, third = published(desk, due)

        assert second == provide(desk, due + LEAD)
        assert third == provide(desk, far + LEAD)


class TestKeyFile:
    def refused(self, desk, now=NOW):
        """
        Ask for the key that signs, and for those that are published; return
        why there is none.
        """
        reasons = set()
        for asked in (desk.provide(now), desk.write_jwks(ISSUER, now)):
            with pytest.raises(UnavailableError) as caught:
                at_desk(asked)
            assert 60 == caught.value.retry_after
            reasons.add(caught.value.reason)
        (reason,) = reasons
        return reason

    @pytest.fixture
    def lost(self, place):
        """
        A store with a signing key, made by a process that has ended.
        """
        with desks(place) as (desk,):
            provide(desk)
        return place

    def test_missing(self, lost):
        """
        Without the sealing key no token is signed, and no other key is made.
        """
        lost.key_file.unlink()
        with desks(lost) as (desk,):
            assert "key-lost" == self.refused(desk)
            with pytest.raises(UnavailableError):
                at_desk(desk.look(NOW + LIFE))
        assert not lost.key_file.exists()

    def test_another(self, lost):
        """
        Another key opens nothing.
        """
        replace(lost.key_file, bytes(32))
        with desks(lost) as (desk,):
            assert "key-lost" == self.refused(desk)

    def test_brought_back(self, lost):
        """
        When it is brought back all is well.
        """
        kept = lost.key_file.read_bytes()
        lost.key_file.unlink()
        with desks(lost) as (desk,):
            self.refused(desk)
            replace(lost.key_file, kept)
            provide(desk)

    def test_none(self, place):
        """
        A service without a key file cannot have signing keys.
        """
        with desks(dataclasses.replace(place, key_file=None)) as (desk,):
            assert "no-key" == self.refused(desk)

    def test_damaged(self, lost):
        """
        A sealed key that is damaged is named.
        """
        with contextlib.closing(sqlite3.connect(lost.store)) as db, db:
            db.execute("UPDATE signing_keys SET sealed = substr(sealed, 1, 99)")
        with desks(lost) as (desk,):
            assert "damaged" == self.refused(desk)

    def test_swapped(self, lost, ledger, view):
        """
        One key's secret in the place of another's is not taken for it.
        """
        make_signing_key(
            lost, lambda _: True, active_from=NOW, actor="me", now=NOW
        )
        one, two = view.all()
        with contextlib.closing(sqlite3.connect(lost.store)) as db, db:
            db.execute(
                "UPDATE signing_keys SET sealed = ? WHERE kid = ?",
                (view.find_sealed(one.kid), two.kid),
            )
        with desks(lost) as (desk,):
            assert "damaged" == self.refused(desk)

    def test_kept_in_memory(self, lost):
        """
        Who has opened the key goes on with it.
        """
        with desks(lost) as (desk,):
            first = provide(desk)
            lost.key_file.unlink()

            assert first == provide(desk)

    def test_no_secret(self, lost, view, caplog):
        """
        Nothing of a private key is in the store, a message or a log.
        """
        with desks(lost) as (desk,):
            signer = at_desk(desk.provide(NOW))
            numbers = signer.private_key.private_numbers()
        secrets = [
            number.to_bytes((number.bit_length() + 7) // 8)
            for number in (numbers.p, numbers.q, numbers.d)
        ]
        kept = b"".join(
            path.read_bytes()
            for path in lost.store.parent.glob(f"{lost.store.name}*")
        )

        assert not any(secret in kept for secret in secrets)
        assert not re.search("PRIVATE|private", caplog.text + repr(signer))


class TestEvidence:
    def test_kept(self, place, tmp_path, view):
        """
        In a TEE a key is made with evidence, which is in its certificate.
        """
        root = tmp_path / "tsm"
        asked = dataclasses.replace(place, tsm_root=root)
        simulation = Simulation.of(default_world())

        def quote(data):
            return simulation.quote("sapphire-1", "tdx-v4", report_data=data)

        with (
            playing_kernel(root, "tdx_guest", quote) as kernel,
            desks(asked) as (desk,),
        ):
            ((_, der),) = at_desk(desk.list_certificates(ISSUER, NOW))
        (key,) = view.all()

        assert key.evidence is not None
        assert EvidenceKind.TDX is key.evidence.kind
        assert key.evidence.data in der
        assert [digest_key(read_public_key(key.spki)) + bytes(32)] == (
            kernel.asked
        )

    def test_none(self, desk, view):
        """
        Elsewhere there is none, and the certificate does not speak of any.
        """
        ((_, der),) = at_desk(desk.list_certificates(ISSUER, NOW))

        assert view.all()[0].evidence is None
        assert 3 == len(x509.load_der_x509_certificate(der).extensions)


class TestMake:
    def test_needless(self, place, view):
        """
        A key that is not needed by then is not kept.
        """
        assert (
            make_signing_key(
                place, lambda _: False, active_from=NOW, actor="me", now=NOW
            )
            is None
        )
        assert () == view.all()

    def test_no_store(self, place, tmp_path):
        """
        Where there is no store none is made.
        """
        elsewhere = dataclasses.replace(place, store=tmp_path / "none.db")
        with pytest.raises(OperatorError, match="no such file"):
            make_signing_key(
                elsewhere, lambda _: True, active_from=NOW, actor="me", now=NOW
            )

    def test_state(self, place, view):
        """
        One that is made for later is to come.
        """
        made = make_signing_key(
            place, lambda _: True, active_from=NOW + DAY, actor="me", now=NOW
        )
        assert made is not None
        assert KeyState.COMING is find_state(made, view.all(), NOW)
