import contextlib
import dataclasses
import re
import sqlite3

import pytest

from cryptography import x509

from tests.attestation.signing import DAY, ISSUER, NOW
from tests.services.signing_desks import (
    at_desk,
    desk,
    desks,
    place,
    provide,
    view,
)
from tests.tsm import playing_kernel
from thim.attestation.signing_certificate import EvidenceKind
from thim.attestation.signing_key import (
    LIFE,
    KeyState,
    find_state,
)
from thim.attestation.token import digest_key, read_public_key
from thim.errors import OperatorError, UnavailableError
from thim.services.secrets import replace
from thim.services.signing_keys import make_signing_key
from thim.simulate.simulation import Simulation
from thim.simulate.world import default_world


__all__ = ["desk", "place", "view"]


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
