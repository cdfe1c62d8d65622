import base64
import sqlite3

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from tests.services.made import (
    CHAINS,
    INTEL,
    KEY,
    NOW,
    STRANGER,
    day,
    names,
    take,
)
from tests.store.made import all_stored
from thim.collateral.records import (
    ROOT_CA_CRL,
    identity_key,
    pck_crl_key,
)
from thim.collateral.targets import Target
from thim.collateral.transition import Transition
from thim.errors import MalformedError, OperatorError, UntrustedError
from thim.intel.authorities import Authority
from thim.intel.names import EnclaveKind, PckCa
from thim.intel.recognise import recognise
from thim.services.receive import receive
from thim.store.watch import Watch
from thim.upstream.pcs import Answer
from thim.x509.chain import parse_certificate, to_pem


URL = "https://vendor.example/tcb"
TCB = Target(key=KEY, number=17)
ANY = Target(key=KEY)
CRL = Target(key=pck_crl_key(PckCa.PLATFORM))
ROOT = Target(key=ROOT_CA_CRL)
SIGNERS = (INTEL.signer, INTEL.root)
LATE = INTEL.certificate(
    Authority.TCB_SIGNING, since=day(1), key=INTEL.key("late"), serial=7
)
#: Of the order of P-256 half is as good as the other half.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def answer(body, chain=SIGNERS):
    """
    Make an answer of a vendor's out of what it would have sent.
    """
    found = recognise(body)
    document = found.signed[0] if found.signed else found.crls[0]
    return Answer(document=document, chain=tuple(chain), body=body, source=URL)


def ask(ledger, target, body, chain=SIGNERS, now=NOW):
    """
    Receive *body* as the answer to *target*.
    """
    return receive(answer(body, chain), target, ledger=ledger, now=now)


def refuse(ledger, target, body, chain=SIGNERS):
    """
    Receive what must be refused, and return why.
    """
    with pytest.raises((MalformedError, UntrustedError)) as e:
        ask(ledger, target, body, chain)
    return e.value.reason


def quarantined(replica):
    """
    Return what lies in quarantine: its source, reason, and bytes.
    """
    watch = Watch(replica)
    return [
        (r.source, r.reason, watch.refused_body(r.sha256))
        for r in watch.refused(day(-1000), 100)
    ]


def counted(replica):
    """
    Return how often what was noticed.
    """
    counters = Watch(replica).counters()
    return {(c.name, c.label): c.count for c in counters}


def malleated(certificate):
    """
    Make the other valid signature of a certificate, as anybody can.
    """
    r, s = decode_dss_signature(certificate.signature)
    other = encode_dss_signature(r, ORDER - s)
    raw = certificate.public_bytes(Encoding.DER)
    at = raw.rindex(certificate.signature)
    tail = b"\x03" + bytes([len(other) + 1]) + b"\0" + other
    algorithm = raw[: at - 3]
    content = algorithm[4:] + tail
    return parse_certificate(
        b"\x30\x82" + len(content).to_bytes(2, "big") + content
    )


class TestTaken:
    def test_new(self, ledger, replica):
        """
        A document that holds is archived and served, with its chain and where
        it came from.
        """
        got = ask(ledger, TCB, INTEL.tcb_info())

        (stored,) = all_stored(ledger)
        assert (Transition.NEWER, None) == (got.transition, got.shortfall)
        assert got.record == stored.record
        assert stored.is_head
        assert INTEL.tcb_info() == stored.record.body
        assert to_pem(SIGNERS) == stored.record.issuer_chain
        assert (URL, NOW) == (stored.record.source, stored.record.fetched)
        assert [] == quarantined(replica)

    def test_again(self, ledger):
        """
        The same once more is as good, and changes nothing.
        """
        ask(ledger, TCB, INTEL.tcb_info())
        got = ask(ledger, TCB, INTEL.tcb_info(), now=day(101))

        assert (Transition.EQUAL, None) == (got.transition, got.shortfall)
        assert [NOW] == [s.record.fetched for s in all_stored(ledger)]

    def test_newer(self, ledger):
        """
        A newer one is served from then on.
        """
        ask(ledger, TCB, INTEL.tcb_info())
        ask(ledger, TCB, INTEL.tcb_info(issued=day(1)))

        heads = [s.record.issued for s in all_stored(ledger) if s.is_head]
        assert [day(1)] == heads

    def test_any_number(self, ledger):
        """
        Who asks for no number takes whichever comes.
        """
        got = ask(ledger, ANY, INTEL.tcb_info(number=18))

        assert (18, None) == (got.record.evaluation_number, got.shortfall)

    def test_chain_is_remembered(self, ledger):
        """
        What came with a chain can be followed by what comes without.
        """
        ask(ledger, TCB, INTEL.tcb_info())
        got = ask(ledger, TCB, INTEL.tcb_info(issued=day(1)), ())

        assert got.shortfall is None
        assert set(SIGNERS) == set(ledger.certificates())

    @pytest.mark.parametrize(
        "chain",
        [
            SIGNERS[::-1],
            (*SIGNERS, *SIGNERS),
            (*SIGNERS, INTEL.platform_ca),
        ],
        ids=["upside-down", "twice", "more"],
    )
    def test_order_of_the_chain(self, ledger, chain):
        """
        A chain may come in any order, and with more of Intel's than needed.
        """
        assert ask(ledger, TCB, INTEL.tcb_info(), chain).shortfall is None

    def test_root_crl(self, ledger):
        """
        The root CRL comes without a chain; a known root will do.
        """
        take(ledger, {"chains.pem": CHAINS})

        assert ask(ledger, ROOT, INTEL.root_crl(), ()).shortfall is None


class TestShortfall:
    def test_wrong_number(self, ledger, replica):
        """
        Another number's document is archived as that number's.
        """
        got = ask(ledger, TCB, INTEL.tcb_info(number=18))

        assert ("wrong-number", Transition.NEWER) == (
            got.shortfall,
            got.transition,
        )
        assert {18} == {number for _, number, _ in names(ledger)}
        assert [] == quarantined(replica)

    def test_rollback(self, ledger):
        """
        An older document is archived and reported.
        """
        ask(ledger, TCB, INTEL.tcb_info(issued=day(1)))
        got = ask(ledger, TCB, INTEL.tcb_info())

        assert ("rollback", Transition.OLDER) == (got.shortfall, got.transition)
        assert {day(0), day(1)} == {at for _, _, at in names(ledger)}

    def test_rollback_to_an_archived_one(self, ledger):
        """
        An older one that is in the archive already is a rollback too.
        """
        ask(ledger, TCB, INTEL.tcb_info())
        ask(ledger, TCB, INTEL.tcb_info(issued=day(1)))
        got = ask(ledger, TCB, INTEL.tcb_info())

        assert ("rollback", Transition.EQUAL) == (got.shortfall, got.transition)

    def test_each_number_for_itself(self, ledger):
        """
        An older document of another number is no rollback of this one.
        """
        ask(ledger, ANY, INTEL.tcb_info(number=18, issued=day(1)))
        got = ask(ledger, TCB, INTEL.tcb_info())

        assert got.shortfall is None

    def test_shrinking_crl(self, ledger):
        """
        A newer CRL with fewer entries is newer.
        """
        chain = INTEL.platform_ca, INTEL.root
        ask(ledger, CRL, INTEL.pck_crl(revoked=[1, 2, 3]), chain)
        got = ask(ledger, CRL, INTEL.pck_crl(issued=day(1)), chain)

        assert (Transition.NEWER, None) == (got.transition, got.shortfall)


class TestRefused:
    @pytest.mark.parametrize(
        ("target", "body", "chain", "reason"),
        [
            (TCB, INTEL.tcb_info(), (STRANGER.signer, STRANGER.root), None),
            (TCB, INTEL.tcb_info(), (STRANGER.root,), None),
            (TCB, STRANGER.tcb_info(), SIGNERS, "signature-invalid"),
            (TCB, INTEL.tcb_info(), (INTEL.signer,), "no-issuer-chain"),
            (TCB, INTEL.tcb_info(), (INTEL.root,), "no-issuer-chain"),
            (TCB, INTEL.tcb_info(), (), "no-issuer-chain"),
            (
                TCB,
                INTEL.tcb_info(),
                (INTEL.platform_ca, INTEL.root),
                "no-issuer-chain",
            ),
            (
                TCB,
                INTEL.tcb_info(key=INTEL.key("late")),
                (LATE, INTEL.root),
                "no-issuer-chain",
            ),
            (TCB, INTEL.tcb_info(issued=day(101)), SIGNERS, "not-yet-valid"),
            (TCB, INTEL.identity(), SIGNERS, "wrong-subject"),
            (TCB, INTEL.tcb_info(structure=2), SIGNERS, "wrong-subject"),
            (
                TCB,
                INTEL.tcb_info(fmspc="00806F050000"),
                SIGNERS,
                "wrong-subject",
            ),
            (
                Target(key=identity_key(EnclaveKind.QVE), number=17),
                INTEL.identity(),
                SIGNERS,
                "wrong-subject",
            ),
            (
                CRL,
                INTEL.pck_crl(ca=PckCa.PROCESSOR),
                (INTEL.processor_ca, INTEL.root),
                "wrong-subject",
            ),
            (CRL, INTEL.root_crl(), (INTEL.root,), "wrong-subject"),
            (
                TCB,
                INTEL.tcb_info(changes={"tcbLevels": "none"}),
                SIGNERS,
                "fields",
            ),
        ],
    )
    def test_by_name(self, ledger, replica, target, body, chain, reason):
        """
        What does not hold is refused by name, lies in quarantine with its
        bytes and source, is counted, and archived nowhere.
        """
        got = refuse(ledger, target, body, chain)

        assert (reason or "root-untrusted") == got
        assert [(URL, got, body)] == quarantined(replica)
        assert {("refused", got): 1} == counted(replica)
        assert set() == names(ledger)

    @pytest.mark.parametrize(
        "certificate",
        [
            INTEL.certificate(Authority.TCB_SIGNING, name="Evil CA"),
            INTEL.certificate(
                Authority.TCB_SIGNING, name="Intel SGX PCK Certificate"
            ),
        ],
        ids=["foreign", "pck"],
    )
    def test_strange_company(self, ledger, replica, certificate):
        """
        A certificate in the chain that is no authority's is no way to be
        refused without being noticed.
        """
        body = INTEL.tcb_info()
        reason = refuse(ledger, TCB, body, (*SIGNERS, certificate))

        assert [(URL, reason, body)] == quarantined(replica)
        assert {("refused", reason): 1} == counted(replica)

    @pytest.mark.parametrize(
        ("target", "body", "other", "chain"),
        [
            (
                TCB,
                INTEL.tcb_info(),
                INTEL.tcb_info(next_update=day(31)),
                SIGNERS,
            ),
            (
                CRL,
                INTEL.pck_crl(),
                INTEL.pck_crl(revoked=[1]),
                (INTEL.platform_ca, INTEL.root),
            ),
        ],
        ids=["tcb-info", "crl"],
    )
    def test_fork(self, ledger, replica, target, body, other, chain):
        """
        A second truth of one instant is a fork: what we have stays.
        """
        ask(ledger, target, body, chain)

        assert "fork" == refuse(ledger, target, other, chain)
        assert [body] == [s.record.body for s in all_stored(ledger)]
        assert [(URL, "fork", other)] == quarantined(replica)

    def test_revoked_signer(self, ledger):
        """
        A signer that the newest root CRL lists signs nothing any more.
        """
        take(ledger, {"chains.pem": CHAINS})
        revoked = INTEL.root_crl(revoked=[INTEL.signer.serial_number])
        ask(ledger, ROOT, revoked, ())

        assert "revoked" == refuse(ledger, TCB, INTEL.tcb_info())

    def test_wrong_number_of_a_stranger(self, ledger):
        """
        Only what is genuine can fall short.
        """
        body = STRANGER.tcb_info(number=18)

        assert "signature-invalid" == refuse(ledger, TCB, body)
        assert set() == names(ledger)

    def test_disk(self, ledger, store, replica):
        """
        When the store cannot be written, the document is not to blame: it is
        not put into quarantine.
        """
        with sqlite3.connect(store) as connection:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON records "
                "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
            )
        connection.close()
        with pytest.raises(OperatorError, match="disk is full"):
            ask(ledger, TCB, INTEL.tcb_info())

        assert [] == quarantined(replica)


class TestMalleable:
    def test_certificate(self):
        """
        The two signatures of a certificate are both valid.
        """
        other = malleated(INTEL.signer)

        other.verify_directly_issued_by(INTEL.root)
        assert other != INTEL.signer
        assert other.tbs_certificate_bytes == INTEL.signer.tbs_certificate_bytes

    def test_chain(self, ledger):
        """
        A certificate with its other signature is the one that we know: the
        store does not grow by what anybody can make.
        """
        ask(ledger, TCB, INTEL.tcb_info())
        other = malleated(INTEL.signer), malleated(INTEL.root)
        got = ask(ledger, TCB, INTEL.tcb_info(issued=day(1)), other)

        assert to_pem(SIGNERS) == got.record.issuer_chain
        assert set(SIGNERS) == set(ledger.certificates())

    def test_document(self, ledger):
        """
        A document with its other signature is the one that we have.
        """
        body = INTEL.tcb_info()
        ask(ledger, TCB, body)
        s = int(body[-66:-2], 16)
        other = body[:-66] + b"%064x" % (ORDER - s) + body[-2:]
        got = ask(ledger, TCB, other)

        assert other != body
        assert (Transition.EQUAL, None) == (got.transition, got.shortfall)
        assert [body] == [s.record.body for s in all_stored(ledger)]

    def test_crl(self, ledger):
        """
        So it is with a CRL.
        """
        chain = INTEL.platform_ca, INTEL.root
        der = INTEL.pck_crl()
        ask(ledger, CRL, der, chain)
        parsed = x509.load_der_x509_crl(der)
        r, s = decode_dss_signature(parsed.signature)
        other = encode_dss_signature(r, ORDER - s)
        head = der[: der.rindex(parsed.signature) - 3]
        content = head[4:] + b"\x03" + bytes([len(other) + 1, 0]) + other
        twin = b"\x30\x82" + len(content).to_bytes(2, "big") + content
        got = ask(ledger, CRL, twin, chain)

        assert twin != der
        assert Transition.EQUAL is got.transition
        assert [der] == [s.record.body for s in all_stored(ledger)]


class TestEnvelope:
    @pytest.mark.parametrize(
        "wrap",
        [
            lambda body: b" \n" + body + b"\n",
            lambda body: body.replace(b'{"tcbInfo":', b'{ "tcbInfo" : '),
            lambda body: body[:-130] + body[-130:].upper(),
        ],
        ids=["around", "between", "upper-case"],
    )
    def test_is_ours(self, ledger, wrap):
        """
        What nobody signs is not kept: the document lies there as Intel writes
        it, whoever gave it.
        """
        body = INTEL.tcb_info()
        ask(ledger, TCB, wrap(body))

        assert [body] == [s.record.body for s in all_stored(ledger)]

    def test_pem(self, ledger):
        """
        A CRL in PEM is kept in DER.
        """
        der = INTEL.pck_crl()
        pem = (
            b"-----BEGIN X509 CRL-----\n"
            + base64.encodebytes(der)
            + b"-----END X509 CRL-----\n"
        )
        ask(ledger, CRL, pem, (INTEL.platform_ca, INTEL.root))

        assert [der] == [s.record.body for s in all_stored(ledger)]
