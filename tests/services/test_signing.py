import asyncio
import base64
import contextlib
import json
import os
import subprocess
import sys

from cryptography import x509

from tests.attestation.signing import DAY, HOUR, ISSUER, NOW
from tests.conftest import PROJECT
from tests.services.signing_desks import (
    at_desk,
    desk,
    desks,
    place,
    provide,
    published,
    revoke,
    view,
)
from thim.attestation.signing_key import (
    KEPT,
    LEAD,
    LIFE,
)
from thim.services.secrets import replace
from thim.services.signing import SigningDesk
from thim.store.replica import Replica, spell_anchors


__all__ = ["desk", "place", "view"]


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
