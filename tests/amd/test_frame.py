import subprocess
import sys
import warnings

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tests.amd.certificates import (
    CHAINS,
    LONG,
    SHORT,
    X400,
    amd_extension,
    amd_extensions,
    ark,
    ask,
    ca_key,
    crl,
    flip,
    frame_places,
    genuine_chain,
    genuine_leaves,
    integer,
    leaf,
    leaf_key,
    load,
    name,
    pem_to_der,
    sign,
    signer_of,
    spki,
    standard,
    tlv,
)
from thim.amd.frame import (
    MAX_SIZE,
    Document,
    Frame,
    is_ca_key,
    parse_certificate,
    read_pem,
)
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import to_pem


CERTIFICATE, CRL = Document


def read(der, document=CERTIFICATE):
    """
    Take *der* apart.
    """
    return Frame.from_der(der, document)


def reason_of(der, document=CERTIFICATE):
    """
    Return why *der* is refused.
    """
    with pytest.raises(MalformedError, match=document.value) as e:
        read(der, document)
    return e.value.reason


def pem(der):
    """
    Write *der* as PEM.
    """
    return to_pem([load(der)])


class TestFrame:
    @pytest.mark.parametrize("stem", CHAINS)
    def test_authorities(self, corpus, stem):
        """
        AMD's CAs are framed as we expect, and taken apart as cryptography
        takes them apart.
        """
        chain = genuine_chain(corpus, stem)
        for each in (chain.intermediate, chain.ark):
            frame = read(each.public_bytes(Encoding.DER))

            assert each.tbs_certificate_bytes == frame.signed
            assert each.signature == frame.signature
            assert each.issuer.public_bytes() == frame.issuer

    def test_leaves(self, corpus):
        """
        So are the leaves, of which 53 are VCEKs and 7 VLEKs.
        """
        leaves = genuine_leaves(corpus)
        for path in leaves:
            der = pem_to_der(path)
            each, frame = load(der), read(der)

            assert each.tbs_certificate_bytes == frame.signed
            assert each.signature == frame.signature
            assert each.issuer.public_bytes() == frame.issuer
        assert 60 == len(leaves)

    def test_lists(self, corpus):
        """
        So are the lists.
        """
        paths = sorted((corpus / "amd" / "crl").iterdir())
        for path in paths:
            each = x509.load_der_x509_crl(path.read_bytes())
            frame = read(path.read_bytes(), CRL)

            assert each.tbs_certlist_bytes == frame.signed
            assert each.signature == frame.signature
            assert each.issuer.public_bytes() == frame.issuer
        assert 3 == len(paths)

    @pytest.mark.parametrize("algorithm", [SHORT, LONG])
    def test_both_encodings(self, algorithm):
        """
        The default trailerField may be left out or written.
        """
        der = leaf(algorithm=algorithm)

        read(der).verify(ask())

    def test_both_occur(self, corpus):
        """
        AMD writes both.
        """
        ders = [pem_to_der(path) for path in genuine_leaves(corpus)]

        assert {True, False} == {LONG in der for der in ders}

    @pytest.mark.parametrize(("inner", "outer"), [(SHORT, LONG), (LONG, SHORT)])
    def test_two_encodings_in_one(self, inner, outer):
        """
        The algorithm outside is that inside, byte by byte.
        """
        tbs = read(leaf(algorithm=inner)).signed

        assert "certificate-algorithm" == reason_of(sign(tbs, algorithm=outer))

    @pytest.mark.parametrize(
        "algorithm",
        [
            SHORT.replace(b"\x02\x01\x30", b"\x02\x01\x20"),  # salt
            SHORT.replace(b"\x03\x04\x02\x02", b"\x03\x04\x02\x01"),  # hash
            LONG.replace(b"\xa3\x03\x02\x01\x01", b"\xa3\x03\x02\x01\x02"),
            tlv(0x30, bytes.fromhex("06092a864886f70d01010c"), b"\x05\x00"),
        ],
    )
    def test_another_algorithm(self, algorithm):
        """
        There is no other algorithm, even where both places agree on it.
        """
        assert "certificate-algorithm" == reason_of(leaf(algorithm=algorithm))
        assert "crl-algorithm" == reason_of(crl(algorithm=algorithm), CRL)

    def test_unused_bits(self):
        """
        A signature is made of whole bytes.
        """
        assert "certificate-malformed" == reason_of(leaf(unused=1))
        assert "crl-malformed" == reason_of(crl(unused=1), CRL)

    @pytest.mark.parametrize("more", [-1, 1])
    def test_size_of_the_signature(self, more):
        """
        A signature has 512 bytes.
        """
        tbs = read(leaf()).signed
        value = tlv(0x03, bytes(513 + more))

        assert "certificate-malformed" == reason_of(
            tlv(0x30, tbs, SHORT, value)
        )

    def test_trailing_bytes(self):
        """
        Nothing follows, inside or outside.
        """
        assert "certificate-malformed" == reason_of(leaf() + b"\0")
        assert "certificate-malformed" == reason_of(leaf(after=b"\5\0"))
        assert "crl-malformed" == reason_of(crl() + b"\0", CRL)

    def test_another_tag(self):
        """
        A SET is no SEQUENCE.
        """
        assert "certificate-malformed" == reason_of(b"\x31" + leaf()[1:])

    @pytest.mark.parametrize("version", [0, 1, 3])
    def test_version(self, version):
        """
        A certificate is X.509 v3.
        """
        assert "certificate-malformed" == reason_of(leaf(version=version))

    @pytest.mark.parametrize("version", [b"", integer(0), integer(2)])
    def test_version_of_a_list(self, version):
        """
        A list is of version 2.
        """
        assert "crl-malformed" == reason_of(crl(version=version), CRL)

    def test_one_for_the_other(self):
        """
        A list is no certificate, and no certificate a list.
        """
        assert "certificate-malformed" == reason_of(crl())
        assert "crl-malformed" == reason_of(leaf(), CRL)

    def test_too_short(self):
        """
        A TBS goes on behind the algorithm.
        """
        tbs = tlv(0x30, tlv(0xA0, integer(2)), integer(0), SHORT)

        assert "certificate-malformed" == reason_of(sign(tbs))

    def test_size(self):
        """
        The size is looked at before anything is parsed.
        """
        half = MAX_SIZE // 2
        short = leaf(extensions=[amd_extension("9", bytes(half))])
        filler = bytes(half + MAX_SIZE - len(short))
        longest = leaf(extensions=[amd_extension("9", filler)])

        assert MAX_SIZE == len(longest)
        assert 512 == len(read(longest).signature)
        with pytest.raises(MalformedError, match="16385 bytes, expected"):
            read(longest + b"\0")

    @given(st.binary(max_size=300), st.sampled_from(Document))
    def test_anything_else(self, der, document):
        """
        Other bytes are malformed, whatever they are.
        """
        assert f"{document.value}-malformed" == reason_of(der, document)


class TestFrameBits:
    @pytest.mark.parametrize(
        "place",
        [
            "vlek/milan-vlek-20230420-f8b8421b",
            "vcek/milan-vcek-20251229-27c3ccfc",
            "vcek/genoa-vcek-20240625-814b37a9",
            "vcek/turin-vcek-20241106-a4a6abff",
        ],
    )
    def test_no_bit_of_the_frame_is_free(self, corpus, place):
        """
        With any bit changed that the signature does not cover, a certificate
        is refused: the archive never holds two of one.
        """
        path = corpus / "amd" / f"{place}.pem"
        chain = genuine_chain(corpus, signer_of(path))
        der = pem_to_der(path)
        places = frame_places(der)

        assert len(places) in {4 + 67 + 5, 4 + 72 + 5}
        read(der).verify(chain.intermediate)
        for at in places:
            for bit in range(8):
                with pytest.raises((MalformedError, UntrustedError)):
                    read(flip(der, at, bit)).verify(chain.intermediate)

    def test_those_that_libraries_let_pass(self, corpus):
        """
        Two changes are known that leave a signature valid elsewhere.
        """
        path = corpus / "amd/vlek/milan-vlek-20230420-f8b8421b.pem"
        der = pem_to_der(path)

        assert (b"\x01", b"\x00") == (der[805:806], der[810:811])
        assert "certificate-algorithm" == reason_of(flip(der, 805, 1))
        assert "certificate-malformed" == reason_of(flip(der, 810))

    def test_a_list(self, corpus):
        """
        The last octet of unused bits in a list.
        """
        path = corpus / "amd/crl/ark-milan-20220509-n0.der"
        der = path.read_bytes()

        assert 0 == der[353]
        assert "crl-malformed" == reason_of(flip(der, 353), CRL)


class TestVerify:
    def test_another_name(self):
        """
        The issuer's name is compared, in its bytes.
        """
        other = ask(subject=name("SEV-Genoa"))

        with pytest.raises(UntrustedError, match="not issued by") as e:
            read(leaf()).verify(other)
        assert "certificate-issuer" == e.value.reason

    def test_another_kind_of_string(self):
        """
        The same name in strings of another kind is another name.
        """
        der = leaf()
        printable = der.replace(b"\x0c\x09SEV-Milan", b"\x13\x09SEV-Milan")

        assert load(der).issuer == load(printable).issuer
        with pytest.raises(UntrustedError, match="not issued by"):
            read(printable).verify(ask())

    def test_another_signature(self):
        """
        The signature is the issuer's key's.
        """
        with pytest.raises(UntrustedError, match="the signature is not") as e:
            read(flip(leaf(), -1)).verify(ask())
        assert "certificate-signature" == e.value.reason

    def test_reasons_of_a_list(self):
        """
        A list has the same faults, by names of its own.
        """
        with pytest.raises(UntrustedError) as e:
            read(crl(), CRL).verify(ask())
        assert "crl-issuer" == e.value.reason
        with pytest.raises(UntrustedError) as e:
            read(flip(crl(), -1), CRL).verify(ark())
        assert "crl-signature" == e.value.reason

    @pytest.mark.parametrize(
        "frame", [{"salt": 32}, {"digest": hashes.SHA256()}]
    )
    def test_other_parameters_than_stated(self, frame):
        """
        A signature over the same bytes in another way is none.
        """
        with pytest.raises(UntrustedError, match="the signature is not"):
            read(leaf(**frame)).verify(ask())

    def test_another_kind_of_key(self):
        """
        Only a key such as AMD's CAs have counts.
        """
        other = ask(public=spki(leaf_key()))

        with pytest.raises(UntrustedError, match="the signature is not"):
            read(leaf()).verify(other)


class TestCaKey:
    def test_of_amds_kind(self):
        """
        RSA 4096 with the exponent 65537.
        """
        assert is_ca_key(ca_key().public_key())

    @pytest.mark.parametrize(
        "key",
        [
            rsa.RSAPublicNumbers(3, (1 << 4095) + 1).public_key(),
            rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key(),
            ec.generate_private_key(ec.SECP384R1()).public_key(),
            ed25519.Ed25519PrivateKey.generate().public_key(),
        ],
    )
    def test_of_another(self, key):
        """
        Another exponent, another size, another kind.
        """
        assert not is_ca_key(key)


class TestParseCertificate:
    def test_reads_what_was_written(self):
        """
        DER in, the same DER out.
        """
        der = leaf()

        assert der == parse_certificate(der).public_bytes(Encoding.DER)

    def test_frame(self):
        """
        The frame is looked at.
        """
        with pytest.raises(MalformedError, match="not signed in") as e:
            parse_certificate(leaf(algorithm=SHORT[:-1] + b"\x20"))
        assert "certificate-algorithm" == e.value.reason

    def test_duplicate(self):
        """
        An extension stands there once.
        """
        again = [*amd_extensions(), amd_extension("1", integer(0))]

        with pytest.raises(MalformedError, match="Duplicate") as e:
            parse_certificate(leaf(extensions=again))
        assert "extension-duplicate" == e.value.reason

    @pytest.mark.parametrize(
        "broken",
        [
            {"public": b"\x30\x00"},
            {"extensions": [X400]},
            {"public": spki(leaf_key())[:-1] + b"\0"},
            {
                "extensions": [
                    standard(
                        x509.UnrecognizedExtension(
                            x509.BasicConstraints.oid, b"\x05\x00"
                        )
                    )
                ]
            },
        ],
    )
    def test_parts_that_cannot_be_read(self, broken):
        """
        Every part is read at once, not when it is asked for.
        """
        with pytest.raises(MalformedError) as e:
            parse_certificate(leaf(**broken))
        assert "certificate-malformed" == e.value.reason

    def test_name(self):
        """
        A name is made of text.
        """
        der = leaf().replace(b"\x0c\x08SEV", b"\x03\x08\x00EV")

        with pytest.raises(MalformedError) as e:
            parse_certificate(der)
        assert "certificate-malformed" == e.value.reason

    def test_name_in_an_extension(self):
        """
        So is one in an extension.
        """
        issuer = [x509.DirectoryName(name("AMD"))]
        key_id = standard(x509.AuthorityKeyIdentifier(None, issuer, 1))
        key_id = key_id.replace(b"\x0c\x03AMD", b"\x03\x03\x00MD")

        with pytest.raises(MalformedError) as e:
            parse_certificate(leaf(extensions=[key_id]))
        assert "certificate-malformed" == e.value.reason

    def test_date(self):
        """
        A date is one.
        """
        usual = tlv(0x17, b"230101000000Z")
        year_zero = tlv(0x18, b"00000101000000Z")
        dates = tlv(0x30, usual, tlv(0x17, b"300101000000Z"))
        first = tlv(0x30, year_zero, tlv(0x17, b"300101000000Z"))
        tbs = read(leaf()).signed
        content = tbs[4:].replace(dates, first)

        with pytest.raises(MalformedError) as e:
            parse_certificate(sign(tlv(0x30, content)))
        assert "certificate-malformed" == e.value.reason

    def test_key_of_an_unknown_kind(self):
        """
        A key that cannot be used is not one of AMD's.
        """
        der = leaf().replace(
            bytes.fromhex("06052b81040022"), bytes.fromhex("06052b8104007f")
        )

        with pytest.raises(MalformedError) as e:
            parse_certificate(der)
        assert "certificate-malformed" == e.value.reason


class TestWarnings:
    def test_canary(self, corpus):
        """
        Every leaf of AMD's has the serial number 0, which cryptography reads
        with a warning that it will refuse it one day.

        When this fails, that day has come.  Keep the cap on cryptography in
        pyproject.toml where it is, and write a second decoder for leaves in
        ``thim.amd.frame`` before it is raised: take the certificate apart
        with ``Frame`` and ``thim.x509.der`` (version, serial number,
        algorithm, issuer, validity, subject, key, extensions), check each
        serial number, load only the key with ``load_der_public_key``, and let
        it agree with the old decoder on all leaves of the corpus.
        """
        zeros = 0
        for path in genuine_leaves(corpus):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                certificate = x509.load_pem_x509_certificate(path.read_bytes())
                zeros += certificate.serial_number == 0
            assert "Parsed a serial number which wasn't positive" in str(
                caught[0].message
            )

        assert 60 == zeros

    @pytest.mark.parametrize("country", [b"US", b"USA"])
    def test_none_in_a_program(self, tmp_path, country):
        """
        Where warnings are errors, a leaf is read without one, even if it has
        a name of which cryptography warns too.
        """
        usual = b"\x30\x09\x06\x03\x55\x04\x06\x13\x02US"
        strange = tlv(0x30, b"\x06\x03\x55\x04\x06", tlv(0x13, country))
        subject = name("SEV-VCEK").public_bytes()
        rdns = tlv(0x31, usual), tlv(0x31, strange)
        content = subject[2:].replace(*rdns)
        path = tmp_path / "leaf.der"
        path.write_bytes(leaf(subject=Raw(tlv(0x30, content))))
        program = (
            "import pathlib, sys\n"
            "from thim.amd.frame import parse_certificate\n"
            "parse_certificate(pathlib.Path(sys.argv[1]).read_bytes())\n"
        )

        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)


class Raw(bytes):
    """
    A name in DER, for what takes one of cryptography's.
    """

    __slots__ = ()

    def public_bytes(self):
        """
        The DER.
        """
        return bytes(self)


class TestReadPem:
    def test_one(self):
        """
        One block.
        """
        der = leaf()

        assert [der] == read_pem(pem(der), 1)

    def test_two(self):
        """
        Two blocks, in their order.
        """
        first, second = (
            each.public_bytes(Encoding.DER) for each in (ask(), ark())
        )

        assert [first, second] == read_pem(pem(first) + pem(second), 2)

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n", "\r\n\r\n", ""])
    def test_ends_of_lines(self, end):
        """
        Either end of a line will do, and any number of them behind.
        """
        der = leaf()
        text = pem(der).strip() + end.encode()

        assert [der] == read_pem(text, 1)
        assert [der] == read_pem(text.replace(b"\r", b""), 1)
        crlf = pem(der).replace(b"\n", b"\r\n")
        assert [der] == read_pem(crlf, 1)

    @pytest.mark.parametrize("count", [0, 2, 3])
    def test_count(self, count):
        """
        The number of blocks is exact.
        """
        with pytest.raises(MalformedError, match="blocks") as e:
            read_pem(pem(leaf()), count)
        assert "certificate-malformed" == e.value.reason

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: b"text\n" + text,
            lambda text: text + b"text\n",
            lambda text: text + b"\0",
            lambda text: text.replace(b"BEGIN CERT", b"BEGIN X509 CERT"),
            lambda text: text.replace(b"-----END", b"-----BEGIN"),
            lambda text: text.replace(b"\n", b""),
            lambda text: text.replace(b"\nM", b"\n*", 1),
            lambda text: text.replace(b"\nM", b"\n=M", 1),
            lambda text: text.replace(b"\nM", b"\n", 1),
            lambda text: text.replace(b"\nM", b"\n M", 1),
        ],
    )
    def test_anything_else(self, change):
        """
        No other text, and no other alphabet.
        """
        with pytest.raises(MalformedError) as e:
            read_pem(change(pem(leaf())), 1)
        assert "certificate-malformed" == e.value.reason

    def test_size(self):
        """
        The size is looked at before anything is parsed.
        """
        text = pem(leaf())
        fits = text + b"\n" * (MAX_SIZE - len(text))

        assert 1 == len(read_pem(fits, 1))
        with pytest.raises(MalformedError, match="expected at most 16384"):
            read_pem(fits + b"\n", 1)
