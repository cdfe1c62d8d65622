"""
Certificates and lists in AMD's form, put together byte by byte, so that each
part may be wrong; and AMD's own ones from the corpus.
"""

import datetime
import functools

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from thim.amd.authorities import CaChain
from thim.simulate.rsa_keys import make_keys
from thim.x509.chain import TrustAnchors, spki_sha256


SINCE: Final = datetime.datetime(2023, 1, 1, tzinfo=datetime.UTC)
UNTIL: Final = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
SECOND: Final = datetime.timedelta(seconds=1)

#: RSASSA-PSS with SHA-384, MGF1 with SHA-384, and a salt of 48 bytes.
SHORT: Final = bytes.fromhex(
    "304106092a864886f70d01010a3034"
    "a00f300d06096086480165030402020500"
    "a11c301a06092a864886f70d010108300d06096086480165030402020500"
    "a203020130"
)
#: The same with the trailerField.
LONG: Final = bytes.fromhex(
    "304606092a864886f70d01010a3039"
    "a00f300d06096086480165030402020500"
    "a11c301a06092a864886f70d010108300d06096086480165030402020500"
    "a203020130a303020101"
)
#: AMD's arc, 1.3.6.1.4.1.3704.1.
ARC: Final = bytes.fromhex("2b060104019c7801")
HW_ID: Final = bytes(range(1, 65))


def tlv(tag, *parts):
    """
    Write one value in DER.
    """
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(number):
    """
    Write an INTEGER in DER.
    """
    size = number.bit_length() // 8 + 1
    return tlv(0x02, number.to_bytes(size, "big", signed=True))


def ia5(text):
    """
    Write an IA5String in DER.
    """
    return tlv(0x16, text.encode())


def name(common_name, *, organization="Advanced Micro Devices", more=()):
    """
    Write a name such as AMD's, or with *more* attributes.
    """
    attributes = [
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.LOCALITY_NAME, "Santa Clara"),
        (NameOID.STATE_OR_PROVINCE_NAME, "CA"),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.COMMON_NAME, common_name),
        *more,
    ]
    return x509.Name([x509.NameAttribute(*each) for each in attributes])


def time(instant):
    """
    Write a UTCTime.
    """
    return tlv(0x17, instant.strftime("%y%m%d%H%M%SZ").encode())


@functools.cache
def ca_key():
    """
    The key of all CAs here, of primes that nobody has to look for.
    """
    e, (key, *_) = 65537, make_keys("certificates")
    d = rsa.rsa_recover_private_exponent(e, key.p, key.q)
    return rsa.RSAPrivateNumbers(
        p=key.p,
        q=key.q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, key.p),
        dmq1=rsa.rsa_crt_dmq1(d, key.q),
        iqmp=rsa.rsa_crt_iqmp(key.p, key.q),
        public_numbers=rsa.RSAPublicNumbers(e, key.p * key.q),
    ).private_key()


@functools.cache
def leaf_key():
    """
    The key of all leaves here.
    """
    return ec.generate_private_key(ec.SECP384R1())


def spki(key):
    """
    Write the public half of *key*.
    """
    return key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )


def sign(
    tbs,
    *,
    algorithm=SHORT,
    salt=48,
    digest=None,
    unused=0,
    after=b"",
    key=None,
):
    """
    Put the signed *tbs* into its frame.
    """
    digest = digest or hashes.SHA384()
    pss = padding.PSS(padding.MGF1(digest), salt)
    signature = (key or ca_key()).sign(tbs, pss, digest)
    frame = tlv(0x03, bytes([unused]), signature)
    return tlv(0x30, tbs, algorithm, frame, after)


def extension(oid, value, *, critical=False):
    """
    Write an extension; *oid* is the content octets.
    """
    flag = b"\x01\x01\xff" if critical else b""
    return tlv(0x30, tlv(0x06, oid), flag, tlv(0x04, value))


def standard(value, *, critical=False):
    """
    Write an extension of RFC 5280.
    """
    last = int(value.oid.dotted_string.removeprefix("2.5.29."))
    oid = bytes([0x55, 0x1D, last])
    return extension(oid, value.public_bytes(), critical=critical)


def certificate(
    subject,
    issuer,
    public,
    extensions,
    *,
    since=SINCE,
    until=UNTIL,
    serial=1,
    version=2,
    algorithm=SHORT,
    **frame,
):
    """
    Write a certificate.
    """
    tbs = tlv(
        0x30,
        tlv(0xA0, integer(version)),
        integer(serial),
        algorithm,
        issuer.public_bytes(),
        tlv(0x30, time(since), time(until)),
        subject.public_bytes(),
        public,
        tlv(0xA3, tlv(0x30, *extensions)),
    )
    return sign(tbs, **{"algorithm": algorithm, **frame})


def amd_extensions(product="Milan", *, kind="vcek", **changes):
    """
    Write a leaf's extensions, by their last arcs, with *changes*; None leaves
    one out.
    """
    values = {
        "1": integer(int(product == "Turin")),
        "2": ia5(product),
        "3_1": integer(3),
        "3_2": integer(1),
        "3_4": integer(0),
        "3_5": integer(0),
        "3_6": integer(0),
        "3_7": integer(0),
        "3_3": integer(8),
        "3_8": integer(0xDB),
    }
    if product == "Turin":
        del values["3_4"]
        values["3_9"] = integer(2)
    if kind == "vcek":
        values["4"] = HW_ID[:8] if product == "Turin" else HW_ID
    else:
        values["5"] = ia5("CN=example")
    values |= {key.removeprefix("_"): value for key, value in changes.items()}
    return [
        amd_extension(arc, value)
        for arc, value in values.items()
        if value is not None
    ]


def amd_extension(arc, value, *, critical=False):
    """
    Write one extension below AMD's arc.
    """
    octets = ARC + bytes(int(each) for each in arc.split("_"))
    return extension(octets, value, critical=critical)


def leaf(product="Milan", *, kind="vcek", extensions=None, **changes):
    """
    Write a VCEK or VLEK that holds, but for *changes*.
    """
    if extensions is None:
        extensions = amd_extensions(product, kind=kind)
    ca = "SEV" if kind == "vcek" else "SEV-VLEK"
    values = {
        "subject": name(f"SEV-{kind.upper()}"),
        "issuer": name(f"{ca}-{product}"),
        "public": spki(leaf_key()),
        "serial": 0,
        **changes,
    }
    return certificate(extensions=extensions, **values)


BASIC: Final = x509.BasicConstraints
USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def usage(*names):
    """
    Write a critical KeyUsage.
    """
    flags = {each: each in names for each in USAGES}
    return standard(x509.KeyUsage(**flags), critical=True)


def distribution_point(*urls):
    """
    Write CRLDistributionPoints with a point for each of *urls*.
    """
    points = [
        x509.DistributionPoint(
            [x509.UniformResourceIdentifier(url)], None, None, None
        )
        for url in urls
    ]
    return standard(x509.CRLDistributionPoints(points))


def ark_extensions(product="Milan", **changes):
    """
    Write an ARK's extensions, with *changes*; None leaves one out.
    """
    url = f"https://kdsintf.amd.com/vcek/v1/{product}/crl"
    values = {
        "usage": usage("key_cert_sign", "crl_sign"),
        "basic": standard(BASIC(ca=True, path_length=None), critical=True),
        "point": distribution_point(url),
        **changes,
    }
    return [value for value in values.values() if value is not None]


def ask_extensions(product="Milan", *, kind="vcek", **changes):
    """
    Write an intermediate's extensions, with *changes*; None leaves one out.
    """
    url = f"https://kdsintf.amd.com/{kind}/v1/{product}/crl"
    values = {
        "basic": standard(BASIC(ca=True, path_length=0), critical=True),
        "usage": usage("key_cert_sign"),
        "point": distribution_point(url),
        **changes,
    }
    return [value for value in values.values() if value is not None]


def ark(product="Milan", **changes):
    """
    Make an ARK that holds, but for *changes*.
    """
    values = {
        "subject": name(f"ARK-{product}"),
        "issuer": name(f"ARK-{product}"),
        "public": spki(ca_key()),
        "extensions": ark_extensions(product),
        "serial": 0x10000,
        **changes,
    }
    return load(certificate(**values))


def ask(product="Milan", *, kind="vcek", **changes):
    """
    Make an ASK or ASVK that holds, but for *changes*.
    """
    role = "SEV" if kind == "vcek" else "SEV-VLEK"
    values = {
        "subject": name(f"{role}-{product}"),
        "issuer": name(f"ARK-{product}"),
        "public": spki(ca_key()),
        "extensions": ask_extensions(product, kind=kind),
        "serial": 0x10001,
        **changes,
    }
    return load(certificate(**values))


def load(der):
    """
    Read *der* without any of the checks under test.
    """
    return x509.load_der_x509_certificate(der)


def anchors():
    """
    The anchors that trust the ARKs made here.
    """
    return TrustAnchors(spki_sha256=frozenset({spki_sha256(ark())}))


def chain(product="Milan", *, kind="vcek"):
    """
    Make a chain that holds.
    """
    return CaChain.from_certificates(ask(product, kind=kind), ark(product))


def entry(serial, extensions=()):
    """
    Write an entry of a revocation list.
    """
    more = [tlv(0x30, *extensions)] if extensions else []
    return tlv(0x30, integer(serial), time(SINCE), *more)


#: IssuerAlternativeName with an X.400 address, which cryptography cannot read.
X400: Final = extension(b"\x55\x1d\x12", tlv(0x30, tlv(0xA3, b"\x05\x00")))
#: The version of a revocation list.
V2: Final = integer(1)
#: CRLNumber 3.
CRL_NUMBER: Final = extension(b"\x55\x1d\x14", b"\x02\x01\x03")


def crl(
    *entries,
    issuer=None,
    since=SINCE,
    until=UNTIL,
    extensions=(CRL_NUMBER,),
    version=V2,
    algorithm=SHORT,
    **frame,
):
    """
    Write a revocation list; without *until*, where that is None.
    """
    tbs = tlv(
        0x30,
        version,
        algorithm,
        (issuer or name("ARK-Milan")).public_bytes(),
        time(since),
        time(until) if until else b"",
        tlv(0x30, *entries) if entries else b"",
        tlv(0xA0, tlv(0x30, *extensions)) if extensions else b"",
    )
    return sign(tbs, **{"algorithm": algorithm, **frame})


CHAINS: Final = (
    "milan-ask",
    "milan-asvk",
    "genoa-ask",
    "genoa-ask-2",
    "genoa-asvk",
    "turin-ask",
    "turin-asvk",
)
#: The chains that sign; one Genoa ASK has been replaced, and signed nothing.
SIGNERS: Final = {
    ("vcek", "milan"): "milan-ask",
    ("vlek", "milan"): "milan-asvk",
    ("vcek", "genoa"): "genoa-ask-2",
    ("vcek", "turin"): "turin-ask",
}


def genuine_chain(corpus: Path, stem: str) -> CaChain:
    """
    Read AMD's intermediate *stem* with its ARK.
    """
    folder = corpus / "amd" / "ca"
    root = f"{stem.partition('-')[0]}-ark.pem"
    pem = (folder / f"{stem}.pem").read_bytes() + (folder / root).read_bytes()
    return CaChain.from_pem(pem)


def genuine_leaves(corpus: Path) -> list[Path]:
    """
    List AMD's VCEKs and VLEKs.
    """
    return sorted((corpus / "amd").glob("v?ek/*.pem"))


def signer_of(path: Path) -> str:
    """
    Name the intermediate that signed the leaf at *path*.
    """
    return SIGNERS[path.parent.name, path.name.partition("-")[0]]


def pem_to_der(path: Path) -> bytes:
    """
    Return the DER in the PEM at *path*.
    """
    loaded = x509.load_pem_x509_certificate(path.read_bytes())
    return loaded.public_bytes(Encoding.DER)


def frame_places(der: bytes) -> list[int]:
    """
    List where in *der* the bytes stand that the signature does not cover, and
    that are not the signature.
    """
    signed = load(der).tbs_certificate_bytes
    start = der.index(signed)
    return [*range(start), *range(start + len(signed), len(der) - 512)]


def flip(der: bytes, at: int, bit: int = 0) -> bytes:
    """
    Change one bit of *der*.
    """
    changed = bytearray(der)
    changed[at] ^= 1 << bit
    return bytes(changed)
