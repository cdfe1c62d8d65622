import pytest

from tests.services.made import CHAINS, INTEL, NOW, STRANGER, day, names, take
from tests.services.test_receive import counted, malleated, quarantined
from tests.store.made import all_stored
from thim.collateral.transition import Transition
from thim.errors import MalformedError, ThimError, UntrustedError
from thim.intel.authorities import Authority
from thim.intel.recognise import recognise
from thim.services.door import Door
from thim.x509.chain import to_pem


SIGNERS = (INTEL.signer, INTEL.root)
OTHER = INTEL.certificate(Authority.TCB_SIGNING, since=day(-9), serial=9)


@pytest.fixture
def door(ledger):
    """
    A door that nothing has passed yet.
    """
    return Door(ledger, NOW)


@pytest.fixture
def known(ledger):
    """
    A door that knows Intel's certificates.
    """
    take(ledger, {"chains.pem": CHAINS})
    return Door(ledger, NOW)


def document(body):
    """
    Recognise the one document in *body*.
    """
    found = recognise(body)
    return found.signed[0] if found.signed else found.crls[0]


class TestCertificate:
    def test_taken(self, door, ledger):
        """
        A certificate that holds is known from then on, to others as well.
        """
        authorities = [
            door.take_certificate(c, "here") for c in (INTEL.root, INTEL.signer)
        ]

        assert [Authority.ROOT, Authority.TCB_SIGNING] == authorities
        assert INTEL.signer == door.find_known(INTEL.signer)
        assert INTEL.signer == Door(ledger, NOW).find_known(INTEL.signer)

    def test_other_signature(self, known):
        """
        It is known by what is signed.
        """
        other = malleated(INTEL.signer)

        assert INTEL.signer == known.find_known(other)
        assert known.find_known(STRANGER.signer) is None
        assert known.find_known(OTHER) is None

    @pytest.mark.parametrize(
        ("certificate", "reason"),
        [
            (STRANGER.root, "root-untrusted"),
            (STRANGER.signer, "no-issuer-chain"),
            (
                INTEL.certificate(Authority.ROOT, name="X"),
                "foreign-certificate",
            ),
            (
                INTEL.certificate(Authority.TCB_SIGNING, since=day(101)),
                "certificate-dates",
            ),
        ],
    )
    def test_refused(self, known, ledger, certificate, reason):
        """
        One that does not hold is not.
        """
        before = ledger.certificates()
        with pytest.raises(ThimError) as e:
            known.take_certificate(certificate, "here")

        assert reason == e.value.reason
        assert known.find_known(certificate) is None
        assert before == ledger.certificates()

    def test_revoked(self, known, ledger):
        """
        One that is revoked is known as such in this run only: what it signed
        is refused for that, and not for want of a chain.
        """
        late = INTEL.certificate(
            Authority.TCB_SIGNING, serial=9, key=INTEL.key("late")
        )
        crl = document(INTEL.root_crl(revoked=[9]))
        known.add(known.verify(crl, (), "here"))
        with pytest.raises(UntrustedError, match="revoked"):
            known.take_certificate(late, "here")
        signed = document(INTEL.tcb_info(key=INTEL.key("late")))
        with pytest.raises(UntrustedError) as e:
            known.verify(signed, (), "here")

        assert "revoked" == e.value.reason
        assert late not in ledger.certificates()


class TestVerify:
    def test_beside(self, known):
        """
        The certificates beside a document are tried first.
        """
        known.take_certificate(OTHER, "here")
        body = document(INTEL.tcb_info())
        record = known.verify(body, (OTHER, INTEL.root), "here")

        assert to_pem((OTHER, INTEL.root)) == record.issuer_chain

    def test_beside_of_no_use(self, known):
        """
        Where they will not do, any that is known will.
        """
        body = document(INTEL.tcb_info())
        record = known.verify(body, (INTEL.platform_ca,), "here")

        assert to_pem(SIGNERS) == record.issuer_chain

    def test_beside_unknown(self, known):
        """
        Certificates that nobody has taken do not count.
        """
        body = document(STRANGER.tcb_info())
        with pytest.raises(UntrustedError):
            known.verify(body, (STRANGER.signer, STRANGER.root), "here")

    def test_under_these_only(self, known):
        """
        Under a chain a document holds by that chain or not at all.
        """
        body = document(INTEL.tcb_info())
        with pytest.raises(UntrustedError) as e:
            known.verify_under((INTEL.platform_ca, INTEL.root), body, "here")

        assert "no-issuer-chain" == e.value.reason
        assert known.verify_under(SIGNERS, body, "here")

    def test_unknown(self, door, ledger):
        """
        To see whether a document holds, its chain need not be known; nothing
        is kept.
        """
        body = document(INTEL.tcb_info())

        assert INTEL.tcb_info() == door.verify_unknown(SIGNERS, body, "x").body
        with pytest.raises(UntrustedError):
            door.verify_unknown((), body, "x")
        with pytest.raises(UntrustedError):
            door.verify_unknown((STRANGER.signer, STRANGER.root), body, "x")
        assert [] == ledger.certificates()
        assert set() == names(ledger)

    def test_unknown_without_a_chain(self, known):
        """
        Without one, what is known counts.
        """
        body = document(INTEL.tcb_info())

        assert INTEL.tcb_info() == known.verify_unknown((), body, "x").body


class TestAdd:
    def test_verdicts(self, known, ledger):
        """
        What was verified is archived, and its place in the series told.
        """
        bodies = [
            INTEL.tcb_info(issued=day(1)),
            INTEL.tcb_info(issued=day(1)),
            INTEL.tcb_info(),
        ]
        verdicts = [
            known.add(known.verify(document(body), (), "here"))
            for body in bodies
        ]

        assert [
            Transition.NEWER,
            Transition.EQUAL,
            Transition.OLDER,
        ] == verdicts
        assert [bodies[0]] == [
            s.record.body for s in all_stored(ledger) if s.is_head
        ]

    def test_fork(self, known):
        """
        A fork is malformed, and named after its document.
        """
        fork = INTEL.tcb_info(next_update=day(31))
        known.add(known.verify(document(INTEL.tcb_info()), (), "here"))
        record = known.verify(document(fork), (), "here")
        with pytest.raises(MalformedError, match="00606A000000") as e:
            known.add(record)

        assert "fork" == e.value.reason

    def test_root_crl(self, known):
        """
        A new root CRL counts at once.
        """
        revoked = INTEL.root_crl(revoked=[INTEL.signer.serial_number])
        known.add(known.verify(document(revoked), (), "here"))
        with pytest.raises(UntrustedError) as e:
            known.verify(document(INTEL.tcb_info()), (), "here")

        assert "revoked" == e.value.reason

    def test_old_root_crl(self, known):
        """
        An old one does not.
        """
        for crl in (
            INTEL.root_crl(issued=day(1)),
            INTEL.root_crl(revoked=[INTEL.signer.serial_number]),
        ):
            known.add(known.verify(document(crl), (), "here"))

        assert known.verify(document(INTEL.tcb_info()), (), "here")


class TestRefuse:
    def test_kept(self, door, replica):
        """
        What was refused is kept with its source and reason, and counted.
        """
        error = UntrustedError("no", reason="signature-invalid")
        door.refuse("here", error, b"bytes")

        assert [("here", "signature-invalid", b"bytes")] == quarantined(replica)
        assert {("refused", "signature-invalid"): 1} == counted(replica)

    @pytest.mark.parametrize(
        "reason",
        [
            *("evidence", "foreign-certificate", "pck-certificate"),
            *("too-large", "unrecognised"),
        ],
    )
    def test_not_worth_it(self, door, replica, reason):
        """
        What is none of what we keep is not worth a place, unless it was
        asked for.
        """
        error = MalformedError("no", reason=reason)
        door.refuse("here", error, b"bytes")
        assert [] == quarantined(replica)
        assert {} == counted(replica)

        door.quarantine("here", error, b"bytes")
        assert [("here", reason, b"bytes")] == quarantined(replica)

    def test_odd_source(self, door, replica):
        """
        The name of a file need not be text.
        """
        door.refuse("a\udcffb", MalformedError("no"), b"bytes")

        assert ["a\\udcffb"] == [
            source for source, _, _ in quarantined(replica)
        ]

    def test_long_words(self, door, ledger):
        """
        What is said of it is as long as people read.
        """
        door.refuse("here", MalformedError("x" * 10**6), b"bytes")

        with ledger._transaction() as connection:
            (size,) = connection.exec_driver_sql(
                "SELECT length(detail) FROM quarantine"
            ).one()
        assert 1000 == size
