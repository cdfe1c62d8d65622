import pytest

from hypothesis import given
from hypothesis import strategies as st

from tests.amd.certificates import (
    CRL_NUMBER,
    SECOND,
    SINCE,
    UNTIL,
    X400,
    ark,
    ask,
    chain,
    crl,
    entry,
    extension,
    flip,
    genuine_chain,
    integer,
    leaf,
    name,
)
from thim.amd.authorities import CaChain
from thim.amd.crl import Crl, verify_crl, verify_unrevoked
from thim.amd.frame import Document, Frame
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, UntrustedError


# cryptography warns of names with attributes of odd lengths; thim filters that
# (see thim.x509.chain), but pytest has filters of its own for each test.
pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length must be")

LISTS = (
    "ark-genoa-20221031-n1",
    "ark-milan-20220509-n0",
    "ark-milan-20230509-n0",
)
MILAN, GENOA, TURIN = ProductLine


def genuine(corpus, stem):
    """
    Read a list of AMD's.
    """
    return Crl.from_der((corpus / "amd" / "crl" / f"{stem}.der").read_bytes())


def genuine_ark(corpus, product):
    """
    Read the ARK of *product*.
    """
    return genuine_chain(corpus, f"{product.value.lower()}-ask").ark


def reason_of(der):
    """
    Return why *der* cannot be read.
    """
    with pytest.raises(MalformedError, match="crl") as e:
        Crl.from_der(der)
    return e.value.reason


def untrusted(*arguments, check=verify_crl, **more):
    """
    Return why *check* refuses.
    """
    with pytest.raises(UntrustedError) as e:
        check(*arguments, **more)
    return e.value.reason


class TestGenuine:
    @pytest.mark.parametrize("stem", LISTS)
    def test_holds(self, corpus, stem):
        """
        AMD's lists hold from their first instant to just before the next.
        """
        each = genuine(corpus, stem)
        root = genuine_ark(corpus, each.product)

        for now in (each.this_update, each.next_update - SECOND, None):
            verify_crl(each, root, now=now)
        early = each.this_update - SECOND
        assert "crl-not-yet-valid" == untrusted(each, root, now=early)
        late = each.next_update
        assert "crl-expired" == untrusted(each, root, now=late)

    def test_what_they_say(self, corpus):
        """
        One intermediate has been revoked in them.
        """
        each = genuine(corpus, "ark-genoa-20221031-n1")

        assert GENOA is each.product
        assert "2022-10-31T13:34:46Z" == f"{each.this_update:%FT%TZ}"
        assert "2023-10-31T23:00:00Z" == f"{each.next_update:%FT%TZ}"
        assert {0x20001} == each.revoked
        assert set() == genuine(corpus, "ark-milan-20230509-n0").revoked

    def test_keeps_the_bytes(self, corpus):
        """
        The list and what is signed in it, byte by byte.
        """
        path = corpus / "amd" / "crl" / "ark-milan-20230509-n0.der"
        der = path.read_bytes()
        each = Crl.from_der(der)

        assert der == each.der
        assert Frame.from_der(der, Document.CRL).signed == each.signed

    @pytest.mark.parametrize("product", [GENOA, TURIN])
    def test_foreign_ark(self, corpus, product):
        """
        Another product line's ARK has not signed it.
        """
        each = genuine(corpus, "ark-milan-20230509-n0")

        assert "crl-issuer" == untrusted(
            each, genuine_ark(corpus, product), now=None
        )

    @pytest.mark.parametrize("stem", LISTS[:2])
    def test_no_byte_is_free(self, corpus, stem):
        """
        With any byte changed, a list is refused.
        """
        each = genuine(corpus, stem)
        root = genuine_ark(corpus, each.product)

        for at in range(len(each.der)):
            with pytest.raises((MalformedError, UntrustedError)):
                verify_crl(
                    Crl.from_der(flip(each.der, at)),
                    root,
                    now=each.this_update,
                )


class TestRevoked:
    def test_genoa(self, corpus):
        """
        The first ASK of Genoa was good until the list of 2022-10-31.
        """
        old = genuine_chain(corpus, "genoa-ask")
        each = genuine(corpus, "ark-genoa-20221031-n1")

        with pytest.raises(UntrustedError, match=r"20001.*2022-10-31") as e:
            verify_unrevoked(old, each)
        assert "ask-revoked" == e.value.reason

    @pytest.mark.parametrize("stem", ["genoa-ask-2", "genoa-asvk"])
    def test_the_others(self, corpus, stem):
        """
        Its second one and the ASVK are not listed.
        """
        each = genuine(corpus, "ark-genoa-20221031-n1")

        verify_unrevoked(genuine_chain(corpus, stem), each)

    def test_another_product_line(self, corpus):
        """
        A list says nothing of other product lines' intermediates.
        """
        each = genuine(corpus, "ark-genoa-20221031-n1")

        assert "crl-issuer" == untrusted(
            genuine_chain(corpus, "milan-ask"), each, check=verify_unrevoked
        )

    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    def test_both_kinds(self, kind):
        """
        An ASVK is revoked like an ASK.
        """
        intermediate = ask(kind=kind, serial=0x30101)
        ca_chain = CaChain.from_certificates(intermediate, ark())
        each = Crl.from_der(crl(entry(0x10101), entry(0x30101)))

        assert "ask-revoked" == untrusted(
            ca_chain, each, check=verify_unrevoked
        )
        verify_unrevoked(chain(), each)


class TestFromDer:
    def test_made(self):
        """
        A list that is made like AMD's reads as AMD's.
        """
        each = Crl.from_der(crl(entry(0x10001), entry(0x10101)))

        assert MILAN is each.product
        assert (SINCE, UNTIL) == (each.this_update, each.next_update)
        assert {0x10001, 0x10101} == each.revoked
        verify_crl(each, ark(), now=SINCE)

    def test_repr_is_short(self):
        """
        What may stand in a log does not hold the whole list.
        """
        each = Crl.from_der(crl())

        assert len(repr(each)) < 300

    @pytest.mark.parametrize("serial", [0, -1])
    def test_the_serial_number_of_leaves(self, serial):
        """
        An entry with the serial number that all leaves have is a mistake.
        """
        assert "crl-malformed" == reason_of(crl(entry(5), entry(serial)))

    def test_no_next_update(self):
        """
        Without an end a list would be good for ever.
        """
        assert "crl-malformed" == reason_of(crl(until=None))

    def test_critical_extension(self):
        """
        A critical extension may limit what the list is about.
        """
        scope = extension(b"\x55\x1d\x1c", b"\x30\x03\x81\x01\xff")
        critical = extension(
            b"\x55\x1d\x1c", b"\x30\x03\x81\x01\xff", critical=True
        )

        assert set() == Crl.from_der(crl(extensions=[scope])).revoked
        assert "crl-extension" == reason_of(
            crl(extensions=[CRL_NUMBER, critical])
        )

    def test_critical_extension_of_an_entry(self):
        """
        So may one of an entry.
        """
        reason = b"\x0a\x01\x01"
        extensions = [extension(b"\x55\x1d\x15", reason)]
        critical = [extension(b"\x55\x1d\x15", reason, critical=True)]

        assert {5} == Crl.from_der(crl(entry(5, extensions))).revoked
        assert "crl-extension" == reason_of(crl(entry(5, critical)))

    @pytest.mark.parametrize(
        "issuer",
        [
            name("SEV-Milan"),
            name("SEV-VLEK-Milan"),
            name("ARK-Venice"),
            name("ARK-Milan", organization="AMD"),
        ],
    )
    def test_issuer(self, issuer):
        """
        Lists are the ARKs'.
        """
        assert "crl-issuer" == reason_of(crl(issuer=issuer))

    @pytest.mark.parametrize(
        "der",
        [
            leaf(),
            crl(extensions=[CRL_NUMBER, CRL_NUMBER]),
            crl(extensions=[extension(b"\x55\x1d\x14", b"\x05\x00")]),
            crl(entry(5, [extension(b"\x55\x1d\x15", b"\x05\x00")])),
            crl(extensions=[X400]),
            crl().replace(b"\x0c\x09ARK", b"\x03\x09\x00RK"),  # a BIT STRING
            crl(version=integer(0)),
            crl().replace(b"230101000000Z", b"231301000000Z"),
        ],
    )
    def test_unreadable(self, der):
        """
        Every part is read at once, not when it is asked for.
        """
        assert "crl-malformed" == reason_of(der)

    @given(st.binary(max_size=300))
    def test_anything_else(self, der):
        """
        Other bytes are malformed, whatever they are.
        """
        assert "crl-malformed" == reason_of(der)


class TestVerify:
    def test_signature(self):
        """
        The ARK's key signed it.
        """
        bad = Crl.from_der(flip(crl(), -1))

        assert "crl-signature" == untrusted(bad, ark(), now=None)

    def test_dates_are_not_judged(self):
        """
        For a list in an archive nobody asks whether it is still valid.
        """
        each = Crl.from_der(crl())

        verify_crl(each, ark(), now=None)
        assert "crl-expired" == untrusted(each, ark(), now=UNTIL)
        assert "crl-not-yet-valid" == untrusted(each, ark(), now=SINCE - SECOND)
