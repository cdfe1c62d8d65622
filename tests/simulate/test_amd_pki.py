import base64
import datetime
import itertools

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from thim.amd.authorities import CaChain, verify_ca_chain
from thim.amd.crl import Crl, verify_crl
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import UntrustedError
from thim.simulate.amd_pki import ISSUED, Amd, Endorsed, to_pem
from thim.simulate.amd_profile import ISSUED as AUTHORITIES
from thim.simulate.amd_profile import Role, add_years


AMD = Amd()
_FILES = {
    Role.ARK: "ark",
    Role.ASK: "ask",
    Role.ASVK: "asvk",
    Role.FIRST_ASK: "ask",
}
_OID = "1.3.6.1.4.1.3704.1"
DAY = datetime.timedelta(days=1)


def endorsed_of(product=ProductLine.MILAN, **changes) -> Endorsed:
    """
    Return a chip at a TCB that has each component.
    """
    fmc = {"fmc": 1} if product is ProductLine.TURIN else {}
    tcb = TcbVersion(
        product=product, bootloader=4, tee=1, snp=24, microcode=219, **fmc
    )
    hw_id = bytes(range(1, product.hw_id_size + 1))
    return Endorsed(**{"tcb": tcb, "hw_id": hw_id, **changes})


def read_pem(path) -> bytes:
    """
    Return the one certificate of a file in DER.
    """
    lines = path.read_text().splitlines()
    return base64.b64decode("".join(x for x in lines if "--" not in x))


def blank(der: bytes) -> bytes:
    """
    Replace what depends on keys: they, their identifiers, the signature.
    """
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    secrets = [key, certificate.signature]
    for extension in certificate.extensions:
        match extension.value:
            case x509.SubjectKeyIdentifier(digest=digest):
                secrets.append(digest)
            case x509.AuthorityKeyIdentifier(key_identifier=digest):
                secrets.append(digest or b"?")
    for secret in secrets:
        der = der.replace(secret, b"\0" * len(secret))
    return der


def blank_crl(der: bytes) -> bytes:
    """
    Do the same to a revocation list.
    """
    crl = x509.load_der_x509_crl(der)
    of_key = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    for secret in (crl.signature, of_key.value.key_identifier or b"?"):
        der = der.replace(secret, b"\0" * len(secret))
    return der


def read_leaf(der: bytes) -> tuple[Endorsed, datetime.datetime]:
    """
    Read whose a genuine VCEK or VLEK is, and when it was issued.
    """
    certificate = x509.load_der_x509_certificate(der)
    values = {
        e.oid.dotted_string.removeprefix(f"{_OID}."): e.value.value
        for e in certificate.extensions
    }
    name = values["2"][2:].decode()
    levels = {
        component: int.from_bytes(values[f"3.{arc}"][2:], "big")
        for component, arc in (
            ("bootloader", 1),
            ("tee", 2),
            ("snp", 3),
            ("microcode", 8),
            ("fmc", 9),
        )
        if f"3.{arc}" in values
    }
    product = ProductLine.from_name(name.partition("-")[0])
    endorsed = Endorsed(
        tcb=TcbVersion(product=product, **levels),
        hw_id=values.get("4", b""),
        csp_id=values.get("5", b"\0\0")[2:].decode(),
    )
    return endorsed, certificate.not_valid_before_utc


class TestGenuine:
    @pytest.mark.parametrize(
        ("product", "role"),
        [*AUTHORITIES],
        ids=[f"{p.value}-{r.value}" for p, r in AUTHORITIES],
    )
    def test_authorities(self, corpus, product, role):
        """
        But for keys, identifiers and signature an authority's certificate is
        AMD's own, byte for byte.
        """
        name = f"{product.value.lower()}-{_FILES[role]}"
        if (product, role) == (ProductLine.GENOA, Role.ASK):
            name += "-2"
        genuine = read_pem(corpus / "amd" / "ca" / f"{name}.pem")

        assert blank(genuine) == blank(AMD.certificate(product, role))

    def test_leaves(self, corpus):
        """
        So are the VCEKs and VLEKs, but for the two oldest, which have their
        extensions in another order, and one of another stepping.
        """
        different = []
        folder = corpus / "amd"
        paths = [*folder.glob("vcek/*.pem"), *folder.glob("vlek/*.pem")]
        for path in paths:
            genuine = read_pem(path)
            endorsed, issued = read_leaf(genuine)
            made = AMD.endorse(endorsed, issued=issued)
            if blank(genuine) != blank(made):
                different.append(path.name)

        assert 60 == len(paths)
        assert [
            "milan-vcek-20210125-7f5832ee.pem",
            "milan-vcek-20220209-9d4e552d.pem",
        ] == sorted(different)

    def test_crls(self, corpus):
        """
        So are the revocation lists.
        """
        paths = [*(corpus / "amd" / "crl").glob("*.der")]
        for path in paths:
            genuine = path.read_bytes()
            crl = x509.load_der_x509_crl(genuine)
            number = crl.extensions.get_extension_for_class(x509.CRLNumber)
            made = AMD.crl(
                Crl.from_der(genuine).product,
                issued=crl.last_update_utc,
                next_update=crl.next_update_utc,
                number=number.value.crl_number,
                revoked={x.serial_number: x.revocation_date_utc for x in crl},
            )
            assert blank_crl(genuine) == blank_crl(made)

        assert 3 == len(paths)


class TestSigned:
    @pytest.mark.parametrize("product", ProductLine)
    @pytest.mark.parametrize("csp_id", ["", "cc-1.example"])
    def test_holds(self, product, csp_id):
        """
        A VCEK or VLEK, its chain and the list hold under the anchors.
        """
        endorsed = endorsed_of(product, csp_id=csp_id)
        role = Role.ASVK if csp_id else Role.ASK
        key = EndorsementKey.from_der(AMD.endorse(endorsed))
        chain = CaChain.from_pem(AMD.chain(product, role))
        verify_endorsement_key(key, chain, anchors=AMD.anchors, at=ISSUED)
        verify_crl(Crl.from_der(AMD.crl(product)), chain.ark, now=ISSUED)

        assert (endorsed.tcb, endorsed.product_name) == (
            key.tcb,
            key.product_name,
        )
        assert (endorsed.csp_id or None) == key.csp_id
        assert (None if csp_id else endorsed.hw_id) == key.hw_id

    @pytest.mark.parametrize("product", ProductLine)
    def test_stranger(self, product):
        """
        The same names over other keys do not hold.
        """
        stranger = CaChain.from_pem(Amd("other").chain(product))
        with pytest.raises(UntrustedError, match="not pinned"):
            verify_ca_chain(stranger, anchors=AMD.anchors, at=ISSUED)

    def test_strangers(self):
        """
        The seeds of the tests, and what stands for another root, have no root
        key in common.
        """
        seeds = "default", "default, moved", "amd", "other", "mine"
        pins = [Amd(seed).anchors.spki_sha256 for seed in seeds]

        assert 3 * len(seeds) == len(frozenset().union(*pins))

    def test_same(self):
        """
        Equal arguments make equal bytes.
        """
        one, other = Amd("mine"), Amd("mine")
        endorsed = endorsed_of()

        assert one.endorse(endorsed) == other.endorse(endorsed)
        assert one.crl(ProductLine.MILAN) == other.crl(ProductLine.MILAN)
        assert one.chain(ProductLine.MILAN) == other.chain(ProductLine.MILAN)

    def test_first_ask(self):
        """
        The first ASK of Genoa signs too, with a key of its own.
        """
        endorsed = endorsed_of(ProductLine.GENOA)
        der = AMD.endorse(endorsed, signer=Role.FIRST_ASK)
        key = EndorsementKey.from_der(der)
        first = CaChain.from_pem(AMD.chain(ProductLine.GENOA, Role.FIRST_ASK))
        second = CaChain.from_pem(AMD.chain(ProductLine.GENOA))
        verify_endorsement_key(key, first, anchors=AMD.anchors, at=ISSUED)

        assert first.intermediate.subject == second.intermediate.subject
        with pytest.raises(UntrustedError, match="signature"):
            verify_endorsement_key(key, second, anchors=AMD.anchors, at=ISSUED)


class TestKeys:
    def test_reissued(self):
        """
        A certificate that is issued once more has the same key.
        """
        endorsed = endorsed_of()
        one = EndorsementKey.from_der(AMD.endorse(endorsed))
        two = EndorsementKey.from_der(
            AMD.endorse(endorsed, issued=ISSUED + DAY)
        )

        assert one.spki == two.spki
        assert one.der != two.der
        assert DAY == two.not_before - one.not_before

    def test_apart(self):
        """
        Another chip, TCB, product line, provider or seed has another key, and
        so has what is not the right key.
        """
        tcb = endorsed_of().tcb
        genoa = TcbVersion.from_bytes(tcb.to_bytes(), ProductLine.GENOA)
        keys = [
            amd.endorsement_key(endorsed_of(**changes)).private_numbers()
            for amd, changes in (
                (AMD, {}),
                (AMD, {"hw_id": bytes(63) + b"\1"}),
                (AMD, {"tcb": TcbVersion(product=ProductLine.MILAN)}),
                (AMD, {"tcb": genoa}),
                (AMD, {"csp_id": "one"}),
                (AMD, {"csp_id": "two"}),
                (AMD, {"is_other": True}),
                (Amd("other"), {}),
            )
        ]

        assert all(
            one.private_value != other.private_value
            for one, other in itertools.combinations(keys, 2)
        )


class TestTheRest:
    def test_add_years(self):
        """
        A leap day has no birthday in most years.
        """
        leap = datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.UTC)
        usual = datetime.datetime(2024, 3, 1, 1, tzinfo=datetime.UTC)

        assert "2031-02-28T01" == f"{add_years(leap, 7):%FT%H}"
        assert "2031-03-01T01" == f"{add_years(usual, 7):%FT%H}"

    def test_pem(self):
        """
        PEM is as others write it.
        """
        der = AMD.certificate(ProductLine.TURIN, Role.ASVK)
        certificate = x509.load_der_x509_certificate(der)

        assert certificate.public_bytes(Encoding.PEM) == to_pem(der)
