import dataclasses
import hashlib
import json

import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.amd.certificates import (
    HW_ID,
    LONG,
    SECOND,
    SHORT,
    SINCE,
    UNTIL,
    amd_extension,
    amd_extensions,
    anchors,
    ark,
    ask,
    ca_key,
    chain,
    extension,
    flip,
    genuine_chain,
    genuine_leaves,
    ia5,
    integer,
    leaf,
    leaf_key,
    load,
    name,
    pem_to_der,
    signer_of,
    spki,
    standard,
    tlv,
)
from thim.amd.authorities import AMD_ROOTS, CaChain, KeyKind
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.amd.tcb import ProductLine, TcbVersion
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import to_pem


# cryptography warns of names with attributes of odd lengths; thim filters that
# (see thim.x509.chain), but pytest has filters of its own for each test.
pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length must be")

MILAN, GENOA, TURIN = ProductLine
VCEK, VLEK = KeyKind

#: A leaf whose bytes are changed one by one.
GENOA_LEAF = "amd/vcek/genoa-vcek-20240625-814b37a9.pem"
#: One chip at one TCB, 14 months apart.
REISSUED = (
    "amd/vcek/milan-vcek-20220629-82079a36.pem",
    "amd/vcek/milan-vcek-20230830-b68af9a5.pem",
)


def read(product="Milan", *, kind="vcek", **changes):
    """
    Read a leaf whose extensions hold but for *changes*.
    """
    extensions = amd_extensions(product, kind=kind, **changes)
    return EndorsementKey.from_der(
        leaf(product, kind=kind, extensions=extensions)
    )


def reason_of(product="Milan", *, kind="vcek", **changes):
    """
    Return why such a leaf is refused.
    """
    with pytest.raises(MalformedError, match="certificate") as e:
        read(product, kind=kind, **changes)
    return e.value.reason


def refused(**changes):
    """
    Return why a leaf with *changes* besides its extensions is refused.
    """
    with pytest.raises(MalformedError, match="certificate") as e:
        EndorsementKey.from_der(leaf(**changes))
    return e.value.reason


def untrusted(key, ca_chain, *, at=SINCE, trusted=None):
    """
    Return why *key* does not hold under *ca_chain*.
    """
    with pytest.raises(UntrustedError) as e:
        verify_endorsement_key(
            key, ca_chain, anchors=trusted or anchors(), at=at
        )
    return e.value.reason


class TestGenuine:
    def test_count(self, corpus):
        """
        There are 53 VCEKs and 7 VLEKs of AMD's.
        """
        paths = genuine_leaves(corpus)
        kinds = [EndorsementKey.from_pem(p.read_bytes()).kind for p in paths]

        assert (53, 7) == (kinds.count(VCEK), kinds.count(VLEK))

    def test_holds(self, corpus):
        """
        Each holds from its first to its last instant, and not a second before
        or after.
        """
        for path in genuine_leaves(corpus):
            key = EndorsementKey.from_pem(path.read_bytes())
            ca_chain = genuine_chain(corpus, signer_of(path))
            for at in (key.not_before, key.not_after):
                verify_endorsement_key(key, ca_chain, anchors=AMD_ROOTS, at=at)

            early, late = key.not_before - SECOND, key.not_after + SECOND
            assert "leaf-not-yet-valid" == untrusted(
                key, ca_chain, at=early, trusted=AMD_ROOTS
            )
            assert "leaf-expired" == untrusted(
                key, ca_chain, at=late, trusted=AMD_ROOTS
            )

    def test_says_what_the_manifest_says(self, corpus):
        """
        Every value, read a second time by other means.
        """
        manifest = json.loads((corpus / "manifest.json").read_text())
        known = {each["name"]: each for each in manifest["entries"]}
        for path in genuine_leaves(corpus):
            key = EndorsementKey.from_pem(path.read_bytes())
            each = known[path.relative_to(corpus).as_posix()]
            said = each["amd_ext"]

            assert each["product"] == key.product.value.lower()
            assert each["cert_der_sha256"] == (
                hashlib.sha256(key.der).hexdigest()
            )
            assert said["product"] == key.product_name
            assert said.get("csp") == key.csp_id
            assert said.get("hwid") == (key.hw_id and key.hw_id.hex())
            assert TcbVersion(
                product=key.product,
                bootloader=said["bl"],
                tee=said["tee"],
                snp=said["snp"],
                microcode=said["ucode"],
                fmc=said.get("fmc", 0),
            ) == (key.tcb)
            assert each["valid_from"] == f"{key.not_before:%FT%TZ}"
            assert each["valid_to"] == f"{key.not_after:%FT%TZ}"

    def test_replaced_intermediate(self, corpus):
        """
        No Genoa VCEK was signed by the ASK that AMD has replaced, though its
        name is the same.
        """
        old = genuine_chain(corpus, "genoa-ask")
        paths = sorted((corpus / "amd" / "vcek").glob("genoa-*.pem"))
        for path in paths:
            key = EndorsementKey.from_pem(path.read_bytes())
            at = key.not_before

            assert "certificate-signature" == untrusted(
                key, old, at=at, trusted=AMD_ROOTS
            )
        assert 9 == len(paths)

    def test_reissued(self, corpus):
        """
        Two certificates of one chip and TCB have the same key.
        """
        first, second = (
            EndorsementKey.from_pem((corpus / path).read_bytes())
            for path in REISSUED
        )

        assert first.der != second.der
        assert (first.hw_id, first.tcb) == (second.hw_id, second.tcb)
        assert first.spki == second.spki
        assert first.spki_sha256 == second.spki_sha256

    def test_thim(self, corpus):
        """
        The VCEK in a recorded answer of Azure's, with its own chain.
        """
        path = corpus / "amd" / "thim" / "aci-uvm-host-amd-certificate.json"
        answer = json.loads(path.read_text())
        key = EndorsementKey.from_pem(answer["vcekCert"].encode())
        ca_chain = CaChain.from_pem(answer["certificateChain"].encode())

        verify_endorsement_key(
            key, ca_chain, anchors=AMD_ROOTS, at=key.not_before
        )
        assert answer["tcbm"] == key.tcb.tcbm

    def test_no_byte_is_free(self, corpus):
        """
        With any byte changed, a leaf is refused.
        """
        path = corpus / GENOA_LEAF
        ca_chain = genuine_chain(corpus, signer_of(path))
        der = pem_to_der(path)
        at = EndorsementKey.from_der(der).not_before

        for place in range(len(der)):
            with pytest.raises((MalformedError, UntrustedError)):
                verify_endorsement_key(
                    EndorsementKey.from_der(flip(der, place)),
                    ca_chain,
                    anchors=AMD_ROOTS,
                    at=at,
                )

    @pytest.mark.parametrize("file", ["legacy", "new"])
    def test_tampered(self, corpus, file):
        """
        Two VCEKs that somebody changed are well-formed, one with a tag in its
        hardware ID and one without, and not signed by AMD.
        """
        folder = corpus / "negative" / "snp-certs"
        der = (folder / f"test-vcek-invalid-{file}.der").read_bytes()
        key = EndorsementKey.from_der(der)

        assert bytes(range(64)) == key.hw_id
        assert "certificate-signature" == untrusted(
            key,
            genuine_chain(corpus, "milan-ask"),
            at=key.not_before,
            trusted=AMD_ROOTS,
        )

    @pytest.mark.parametrize("file", ["ark.cert.bad", "ark.cert.sig"])
    def test_no_certificate(self, corpus, file):
        """
        Two files in an older format of AMD's are no certificates.
        """
        der = (corpus / "negative" / "snp-certs" / file).read_bytes()

        with pytest.raises(MalformedError) as e:
            EndorsementKey.from_der(der)
        assert "certificate-malformed" == e.value.reason


class TestRead:
    def test_vcek(self):
        """
        A chip's key says of which chip and TCB it is.
        """
        der = leaf()
        key = EndorsementKey.from_der(der)

        assert EndorsementKey(
            kind=VCEK,
            product=MILAN,
            product_name="Milan",
            tcb=TcbVersion(
                product=MILAN, bootloader=3, tee=1, snp=8, microcode=0xDB
            ),
            hw_id=HW_ID,
            csp_id=None,
            not_before=SINCE,
            not_after=UNTIL,
            spki=spki(leaf_key()),
            der=der,
        ) == (key)

    def test_vlek(self):
        """
        A cloud provider's key says whose it is.
        """
        key = read(kind="vlek")

        assert VLEK is key.kind
        assert "CN=example" == key.csp_id
        assert key.hw_id is None

    def test_turin(self):
        """
        Turin has an FMC, and a short hardware ID.
        """
        key = read("Turin")

        assert HW_ID[:8] == key.hw_id
        assert TcbVersion(
            product=TURIN, fmc=2, bootloader=3, tee=1, snp=8, microcode=0xDB
        ) == (key.tcb)

    def test_from_pem(self):
        """
        One PEM block is the same certificate.
        """
        der = leaf()
        pem = to_pem([load(der)])

        assert EndorsementKey.from_der(der) == EndorsementKey.from_pem(pem)
        with pytest.raises(MalformedError, match="1 blocks"):
            EndorsementKey.from_pem(pem + pem)

    def test_key(self):
        """
        The key is there to verify reports with, and has a digest.
        """
        key = EndorsementKey.from_der(leaf())

        assert leaf_key().public_key() == key.public_key()
        digest = hashlib.sha256(spki(leaf_key())).digest()
        assert digest == key.spki_sha256

    def test_key_of_another_kind(self):
        """
        A value that was put together with another key has none.
        """
        key = dataclasses.replace(
            EndorsementKey.from_der(leaf()), spki=spki(ca_key())
        )

        with pytest.raises(TypeError, match="RSAPublicKey"):
            key.public_key()

    def test_repr_hides_the_chip(self):
        """
        What may stand in a log does not name the machine.
        """
        text = repr(EndorsementKey.from_der(leaf()))

        assert "Milan" in text
        assert repr(HW_ID)[2:20] not in text
        assert len(text) < 600

    @pytest.mark.parametrize("serial", [0, 1, -1, 1 << 100])
    def test_serial_number(self, serial):
        """
        The serial number means nothing.
        """
        assert VCEK is EndorsementKey.from_der(leaf(serial=serial)).kind

    @given(st.randoms())
    def test_order_of_extensions(self, random):
        """
        Extensions come in any order.
        """
        values = amd_extensions("Turin")
        random.shuffle(values)
        key = EndorsementKey.from_der(leaf("Turin", extensions=values))

        assert read("Turin").tcb == key.tcb
        assert HW_ID[:8] == key.hw_id

    @given(st.data())
    def test_any_changed_byte(self, data):
        """
        Whatever is changed, a leaf is refused by name or read.
        """
        der = leaf()
        at = data.draw(st.integers(0, len(der) - 1))
        changed = der[:at] + data.draw(st.binary(max_size=3)) + der[at + 1 :]

        try:
            key = EndorsementKey.from_der(changed)
        except MalformedError:
            return
        assert changed == key.der


class TestNames:
    @pytest.mark.parametrize(
        "subject",
        [
            name("SEV-VCEK-Milan"),
            name("sev-vcek"),
            name("VCEK"),
            name("SEV-VCEK", organization="AMD"),
            name("SEV-VCEK", more=[(x509.NameOID.COMMON_NAME, "SEV-VLEK")]),
            x509.Name([]),
        ],
    )
    def test_subject(self, subject):
        """
        The kind is read from the exact subject.
        """
        assert "certificate-name" == refused(subject=subject)

    @pytest.mark.parametrize(
        "issuer",
        [name("SEV-Venice"), name("SEV-Milan", organization="AMD")],
    )
    def test_issuer(self, issuer):
        """
        The product line is read from the exact issuer.
        """
        assert "certificate-name" == refused(issuer=issuer)

    @pytest.mark.parametrize(
        ("kind", "issuer"),
        [
            ("vcek", "SEV-VLEK-Milan"),
            ("vlek", "SEV-Milan"),
            ("vcek", "ARK-Milan"),
            ("vlek", "ARK-Milan"),
        ],
    )
    def test_issuer_of_another_kind(self, kind, issuer):
        """
        An ASVK signs no VCEKs, an ASK no VLEKs, and an ARK neither.
        """
        assert "certificate-issuer" == refused(kind=kind, issuer=name(issuer))

    @pytest.mark.parametrize(
        "key",
        [
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP521R1()),
            ca_key(),
        ],
    )
    def test_key(self, key):
        """
        Reports are signed on P-384.
        """
        assert "certificate-key" == refused(public=spki(key))


class TestExtensions:
    @pytest.mark.parametrize(
        "arc",
        ["1", "2", "3_1", "3_2", "3_3", "3_4", "3_5", "3_6", "3_7", "3_8"],
    )
    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    def test_missing(self, kind, arc):
        """
        Each is there.
        """
        assert "extension-missing" == reason_of(kind=kind, **{f"_{arc}": None})

    def test_missing_on_turin(self):
        """
        Turin has the FMC's in addition.
        """
        assert "extension-missing" == reason_of("Turin", _3_9=None)

    def test_identity_missing(self):
        """
        A VCEK names a chip, a VLEK a provider.
        """
        assert "extension-missing" == reason_of(_4=None)
        assert "extension-missing" == reason_of(kind="vlek", _5=None)

    def test_unexpected_identity(self):
        """
        A VCEK names no provider, a VLEK no chip.
        """
        assert "extension-unexpected" == reason_of(_5=ia5("CN=example"))
        assert "extension-unexpected" == reason_of(kind="vlek", _4=HW_ID)

    def test_unexpected_layout(self):
        """
        One TCB layout has no FMC, the other a byte less that is reserved.
        """
        assert "extension-unexpected" == reason_of(_3_9=integer(0))
        assert "extension-unexpected" == reason_of("Turin", _3_4=integer(0))

    @pytest.mark.parametrize("arc", ["6", "3_10", "1_1"])
    def test_unexpected(self, arc):
        """
        There is nothing else below AMD's arc.
        """
        more = {f"_{arc}": integer(0)}

        assert "extension-unexpected" == reason_of(**more)

    @pytest.mark.parametrize(
        "more",
        [
            standard(x509.BasicConstraints(ca=False, path_length=None)),
            standard(x509.SubjectKeyIdentifier(b"1")),
            extension(bytes.fromhex("2b060104019c7802"), integer(0)),
            extension(bytes.fromhex("2b060104019c78"), integer(0)),
        ],
    )
    def test_unknown(self, more):
        """
        There is nothing elsewhere, ...
        """
        extensions = [*amd_extensions(), more]

        assert "extension-unknown" == refused(extensions=extensions)

    def test_authority_key_id(self):
        """
        ... except the id of the issuer's key.
        """
        key_id = standard(x509.AuthorityKeyIdentifier(b"1", None, None))
        der = leaf(extensions=[*amd_extensions(), key_id])

        assert VCEK is EndorsementKey.from_der(der).kind

    @pytest.mark.parametrize(
        "more",
        [
            amd_extension("4", HW_ID, critical=True),
            standard(
                x509.AuthorityKeyIdentifier(b"1", None, None), critical=True
            ),
        ],
    )
    def test_critical(self, more):
        """
        None is critical.
        """
        extensions = [*amd_extensions(_4=None), more]

        assert "extension-critical" == refused(extensions=extensions)

    def test_duplicate(self):
        """
        None is there twice, even with the same value.
        """
        extensions = [*amd_extensions(), amd_extension("4", HW_ID)]

        assert "extension-duplicate" == refused(extensions=extensions)


SPLS = ["3_1", "3_2", "3_3", "3_8"]


class TestValues:
    @pytest.mark.parametrize("product", ["Milan", "Turin"])
    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_struct_version(self, product, version):
        """
        The structure's version is that of the product line's layout.
        """
        fits = version == int(product == "Turin")

        if fits:
            assert read(product, _1=integer(version)).tcb.snp == 8
        else:
            assert "struct-version" == reason_of(product, _1=integer(version))

    @pytest.mark.parametrize("text", ["Milan", "Milan-B0", "Milan-A0-x"])
    def test_product_name(self, text):
        """
        The product name may have a stepping.
        """
        assert text == read(_2=ia5(text)).product_name

    @pytest.mark.parametrize(
        "value",
        [
            ia5("Genoa"),
            ia5("Milano"),
            ia5("MilanB0"),
            ia5("milan"),
            ia5(""),
            ia5("-B0"),
            tlv(0x0C, b"Milan"),  # UTF8String
            tlv(0x13, b"Milan"),  # PrintableString
            tlv(0x16, b"Milan-\xff"),
            tlv(0x16, b"Milan") + b"\0",
            b"\x16\x81\x05Milan",
            b"\x16\x06Milan",
            b"",
        ],
    )
    def test_another_product_name(self, value):
        """
        Another product line's name, or no IA5String.
        """
        assert "product-name" == reason_of(_2=value)

    @pytest.mark.parametrize("arc", SPLS)
    @pytest.mark.parametrize("number", [0, 1, 127, 128, 219, 255])
    def test_spl(self, arc, number):
        """
        A security patch level is one from 0 to 255.
        """
        names = dict(
            zip(SPLS, ["bootloader", "tee", "snp", "microcode"], strict=True)
        )
        key = read(**{f"_{arc}": integer(number)})

        assert number == getattr(key.tcb, names[arc])

    def test_fmc(self):
        """
        So is the FMC's on Turin.
        """
        assert 200 == read("Turin", _3_9=integer(200)).tcb.fmc
        assert "extension-range" == reason_of("Turin", _3_9=integer(256))

    @pytest.mark.parametrize("arc", [*SPLS, "3_4", "3_5", "3_6", "3_7", "1"])
    @pytest.mark.parametrize(
        "value",
        [
            integer(-1),
            integer(256),
            bytes.fromhex("02020173"),  # whose last byte would do
            bytes.fromhex("02020005"),  # a zero too many
            bytes.fromhex("02820001") + b"\5",
            bytes.fromhex("0200"),
            bytes.fromhex("0a0100"),  # ENUMERATED
            bytes.fromhex("02010000"),
            b"\0",
            b"",
        ],
    )
    def test_no_spl(self, arc, value):
        """
        What is no number from 0 to 255, in the one form of DER, is none.
        """
        assert "extension-range" == reason_of(**{f"_{arc}": value})

    @pytest.mark.parametrize("arc", ["3_4", "3_5", "3_6", "3_7"])
    def test_reserved(self, arc):
        """
        What is reserved is zero.
        """
        assert "tcb-reserved" == reason_of(**{f"_{arc}": integer(1)})

    @pytest.mark.parametrize("arc", ["3_5", "3_6", "3_7"])
    def test_reserved_on_turin(self, arc):
        """
        On Turin too.
        """
        assert "tcb-reserved" == reason_of("Turin", **{f"_{arc}": integer(1)})

    @pytest.mark.parametrize(
        ("product", "hw_id"), [("Milan", HW_ID), ("Turin", HW_ID[:8])]
    )
    def test_tagged_hw_id(self, product, hw_id):
        """
        A hardware ID may stand in an OCTET STRING.
        """
        assert hw_id == read(product, _4=tlv(0x04, hw_id)).hw_id

    def test_hw_id_that_looks_tagged(self):
        """
        A bare ID is known by its length, even if it begins like a tag.
        """
        long = b"\x04\x3e" + HW_ID[:62]
        short = b"\x04\x06" + HW_ID[:6]

        assert long == read(_4=long).hw_id
        assert short == read("Turin", _4=short).hw_id

    @pytest.mark.parametrize(
        ("product", "value"),
        [
            ("Milan", b""),
            ("Milan", HW_ID[:63]),
            ("Milan", HW_ID + b"\1"),
            ("Milan", HW_ID + b"\1\1"),
            ("Milan", b"\x04\x3f" + HW_ID),
            ("Milan", b"\x24\x40" + HW_ID),
            ("Milan", HW_ID[:8]),
            ("Turin", HW_ID),
            ("Turin", tlv(0x04, HW_ID)),
            ("Turin", HW_ID[:7]),
            ("Turin", HW_ID[:10]),
        ],
    )
    def test_length_of_the_hw_id(self, product, value):
        """
        A hardware ID is as long as its product line's are.
        """
        assert "hwid-length" == reason_of(product, _4=value)

    @pytest.mark.parametrize(("product", "size"), [("Milan", 64), ("Turin", 8)])
    def test_zero_hw_id(self, product, size):
        """
        A chip has an ID, with a tag or without.
        """
        assert "hwid-zero" == reason_of(product, _4=bytes(size))
        assert "hwid-zero" == reason_of(product, _4=tlv(0x04, bytes(size)))

    @pytest.mark.parametrize(
        "value",
        [ia5(""), tlv(0x0C, b"x"), tlv(0x16, b"\x80"), ia5("x") + b"\0", b""],
    )
    def test_csp_id(self, value):
        """
        A provider has a name, in an IA5String.
        """
        assert "csp-id" == reason_of(kind="vlek", _5=value)


class TestVerify:
    @pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    @pytest.mark.parametrize("algorithm", [SHORT, LONG])
    def test_holds(self, product, kind, algorithm):
        """
        A leaf that is made like AMD's holds under its own chain.
        """
        der = leaf(product, kind=kind, algorithm=algorithm)

        verify_endorsement_key(
            EndorsementKey.from_der(der),
            chain(product, kind=kind),
            anchors=anchors(),
            at=SINCE,
        )

    def test_chain(self):
        """
        The chain is verified with it.
        """
        key = EndorsementKey.from_der(leaf())
        expired = CaChain.from_certificates(ask(until=SINCE), ark())

        assert "root-not-pinned" == untrusted(key, chain(), trusted=AMD_ROOTS)
        assert "ask-expired" == untrusted(key, expired, at=SINCE + SECOND)

    @pytest.mark.parametrize(
        ("product", "kind"), [("Genoa", "vcek"), ("Milan", "vlek")]
    )
    def test_another_chain(self, product, kind):
        """
        An intermediate of another product line or for other keys, even with
        the same key, is another issuer.
        """
        key = EndorsementKey.from_der(leaf())

        assert "certificate-issuer" == untrusted(key, chain(product, kind=kind))

    def test_signature(self):
        """
        The intermediate's key signed it.
        """
        key = EndorsementKey.from_der(flip(leaf(), -1))

        assert "certificate-signature" == untrusted(key, chain())

    def test_dates(self):
        """
        A leaf is judged by its own dates too.
        """
        der = leaf(since=SINCE + SECOND, until=UNTIL - SECOND)
        key = EndorsementKey.from_der(der)

        assert "leaf-not-yet-valid" == untrusted(key, chain(), at=SINCE)
        assert "leaf-expired" == untrusted(key, chain(), at=UNTIL)

    def test_spki_is_as_in_the_certificate(self, corpus):
        """
        The key is kept in the form in which AMD writes it.
        """
        for path in genuine_leaves(corpus):
            key = EndorsementKey.from_pem(path.read_bytes())
            public = load(key.der).public_key()

            assert key.spki in key.der
            assert key.spki == public.public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            )
