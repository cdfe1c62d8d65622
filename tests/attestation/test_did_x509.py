import contextlib
import datetime

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.attestation.uvm_made import (
    CA,
    EKU,
    NO_CA,
    SIGNED,
    SINCE,
    UNTIL,
    a_chain,
    a_leaf,
    a_middle,
    a_root,
    certify,
    did_of,
    ec_key,
    fingerprint,
    name_of,
    rsa_key,
    slow_key,
    usage,
)
from thim.attestation.did_x509 import DidX509, verify_path
from thim.errors import MalformedError, UntrustedError


LEAF, MIDDLE, ROOT = a_chain()
PRINT = fingerprint(ROOT)
SECOND = datetime.timedelta(seconds=1)
SIGN = usage("digital_signature")
SIGN_CERTIFICATES = usage("key_cert_sign")
SAN = x509.SubjectAlternativeName(
    [
        x509.RFC822Name("bob@example.com"),
        x509.DNSName("example.com"),
        x509.UniformResourceIdentifier("https://example.com/a"),
    ]
)


def did(rest):
    """
    Write an identifier with the root as its authority.
    """
    return did_of(ROOT, rest)


def reason_of(text, chain=(LEAF, MIDDLE, ROOT)):
    """
    Return why *text* does not name *chain*; None where it does.
    """
    try:
        DidX509.parse(text).verify(chain)
    except UntrustedError as e:
        return e.reason
    return None


def broken(*chain, at=SIGNED):
    """
    Return what is wrong with the path *chain*; None where it holds.
    """
    try:
        verify_path(chain, at)
    except UntrustedError as e:
        return e.reason
    return None


class TestParse:
    def test_parts(self):
        """
        An identifier is an authority's digest and what holds of the signer.
        """
        text = f"did:x509:0:sha256:{PRINT}::subject:CN:A%20b:O:C::eku:1.2.3"

        assert DidX509(
            algorithm="sha256",
            fingerprint=PRINT,
            predicates=(("subject", "CN:A%20b:O:C"), ("eku", "1.2.3")),
        ) == DidX509.parse(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "did:x509",
            f"did:x509:0:sha256:{PRINT}",
            f"did:x509:0:sha256:{PRINT}::",
            f"did:x509:0:sha256:{PRINT}::eku",
            f"did:x509:0:sha256:{PRINT}::eku:",
            f"did:x509:0:sha256:{PRINT}:eku:1.2",
            f"did:x509:0:sha256:{PRINT}::eku:1.2:",
            f"did:x509:0:sha256:{PRINT}::eku:1.2::",
            f"did:x509:0:sha256:{PRINT}::eku:1.2#0",
            f"did:x509:0:sha256:{PRINT}::eku:1.2/path",
            f"did:x509:0:sha256:{PRINT}::eku:1.2\n",
            f"did:x509:0:sha256:{PRINT}::eku:1.2:3",
            f"did:x509:1:sha256:{PRINT}::eku:1.2",
            f"did:x509:0:sha1:{PRINT}::eku:1.2",
            f"did:x509:0:sha256:{PRINT}=::eku:1.2",
            f"DID:x509:0:sha256:{PRINT}::eku:1.2",
            "did:x509:0:sha256:::eku:1.2",
            f"did:x509:0:sha256:{PRINT}::subject:CN",
            f"did:x509:0:sha256:{PRINT}::subject:CN:a:O",
            f"did:x509:0:sha256:{PRINT}::subject:CN:a:CN:b",
            f"did:x509:0:sha256:{PRINT}::subject:CN:a b",
            f"did:x509:0:sha256:{PRINT}::subject:CN:%2",
            f"did:x509:0:sha256:{PRINT}::subject:CN:a+b",
            f"did:x509:0:sha256:{PRINT}::san:dn:a",
            f"did:x509:0:sha256:{PRINT}::san:dns",
            f"did:x509:0:sha256:{PRINT}::san:dns:a:b",
            f"did:x509:0:sha256:{PRINT}::fulcio-issuer:example.com",
            f"did:x509:0:sha256:{PRINT}::whatever:x",
            f"did:x509:0:sha256:{PRINT}::eku:" + "1" * 3000,
        ],
        ids=lambda text: text.replace(PRINT, "PRINT")[:60],
    )
    def test_malformed(self, text):
        """
        What is none, or has a predicate that is not known, is refused.
        """
        with pytest.raises(MalformedError, match="did:x509") as e:
            DidX509.parse(text)

        assert "did-malformed" == e.value.reason

    @given(st.text(max_size=60))
    def test_anything(self, text):
        """
        Whatever follows, it is refused by name or read.
        """
        with contextlib.suppress(MalformedError):
            assert DidX509.parse(did("::" + text)).predicates


class TestAuthority:
    @pytest.mark.parametrize("certificate", [MIDDLE, ROOT])
    @pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
    def test_any(self, certificate, digest):
        """
        It is any authority of the chain, by any of three digests.
        """
        text = did_of(certificate, digest=digest)

        assert reason_of(text) is None

    def test_leaf(self):
        """
        It is not the signer.
        """
        assert "did-authority" == reason_of(did_of(LEAF))

    def test_other(self):
        """
        It is nobody else, also of that name.
        """
        other = a_root(key=ec_key("other"), signer=ec_key("other"))

        assert "did-authority" == reason_of(did_of(other))


class TestPredicates:
    @pytest.mark.parametrize(
        "rest",
        [
            "::subject:CN:Signer",
            "::subject:O:Ours%20%26%20Co.",
            "::subject:O:Ours%20%26%20Co%2e:CN:%53igner",
            "::subject:CN:Signer::subject:O:Ours%20%26%20Co.",
            f"::eku:{EKU.dotted_string}",
            f"::eku:{EKU.dotted_string}::subject:CN:Signer",
        ],
    )
    def test_met(self, rest):
        """
        All predicates hold of the signer's certificate.
        """
        assert reason_of(did(rest)) is None

    @pytest.mark.parametrize(
        "rest",
        [
            "::subject:CN:signer",
            "::subject:CN:Signer:C:US",
            "::subject:CN:Middle",
            "::subject:2.5.4.3:Signer",
            "::subject:CN:%ff",
            "::eku:1.2.3",
            "::eku:1.3.6.1.4.1.311.76.59.1",
            f"::eku:{EKU.dotted_string}::subject:CN:x",
            f"::subject:CN:x::eku:{EKU.dotted_string}",
            "::san:dns:example.com",
        ],
    )
    def test_unmet(self, rest):
        """
        One that does not hold is enough.
        """
        assert "did-predicate" == reason_of(did(rest))

    @pytest.mark.parametrize(
        ("rest", "expected"),
        [
            ("::san:email:bob%40example.com", None),
            ("::san:dns:example.com", None),
            ("::san:uri:https%3A%2F%2Fexample.com%2Fa", None),
            ("::san:dns:bob%40example.com", "did-predicate"),
            ("::san:dns:www.example.com", "did-predicate"),
        ],
    )
    def test_san(self, rest, expected):
        """
        An alternative name is of its type.
        """
        chain = a_leaf(extensions=[SAN]), MIDDLE, ROOT

        assert expected == reason_of(did(rest), chain)

    def test_other_attribute(self):
        """
        Attributes without a label go by their OIDs.
        """
        leaf = a_leaf(subject=name_of("Signer", SERIAL_NUMBER="5"))

        assert reason_of(did("::subject:2.5.4.5:5"), (leaf, ROOT)) is None

    def test_repeated(self):
        """
        An attribute that a subject has twice is not the one that is meant.
        """
        attributes = [
            x509.NameAttribute(NameOID.COMMON_NAME, text)
            for text in ("Signer", "Other")
        ]
        leaf = a_leaf(subject=x509.Name(attributes))

        assert "did-predicate" == reason_of(
            did("::subject:CN:Signer"), (leaf, ROOT)
        )


class TestPath:
    def test_holds(self):
        """
        A good path holds, with its root or without.
        """
        assert broken(LEAF, MIDDLE, ROOT) is None
        assert broken(LEAF, MIDDLE) is None

    def test_alone(self):
        """
        A certificate that is alone is no path.
        """
        assert "path-length" == broken(ROOT)

    @pytest.mark.parametrize(
        "chain",
        [
            (LEAF, ROOT),
            (LEAF, ROOT, MIDDLE),
            (MIDDLE, LEAF, ROOT),
            (LEAF, a_middle(key=ec_key("other")), ROOT),
            (LEAF, MIDDLE, a_root(key=ec_key("other"), signer=ec_key("other"))),
        ],
    )
    def test_issuer(self, chain):
        """
        Each is issued by the next one.
        """
        assert "path-issuer" == broken(*chain)

    @pytest.mark.parametrize(
        ("critical", "is_good"),
        [
            ([SIGN_CERTIFICATES, CA], True),
            ([SIGN_CERTIFICATES], False),
            ([SIGN_CERTIFICATES, NO_CA], False),
            ([usage("digital_signature"), CA], False),
            ([CA], False),
        ],
    )
    def test_ca(self, critical, is_good):
        """
        An issuer is a CA that may sign certificates.
        """
        middle = a_middle(critical=critical)

        assert (None if is_good else "path-ca") == broken(LEAF, middle, ROOT)

    @pytest.mark.parametrize(("most", "is_good"), [(0, False), (1, True)])
    def test_path_length(self, most, is_good):
        """
        An issuer has no more CAs below it than it may.
        """
        limit = x509.BasicConstraints(ca=True, path_length=most)
        root = a_root(critical=[SIGN_CERTIFICATES, limit])

        assert (None if is_good else "path-ca") == broken(LEAF, MIDDLE, root)

    @pytest.mark.parametrize("place", range(3))
    def test_critical(self, place):
        """
        Nothing is critical that is not judged here, in any certificate.
        """
        constraints = x509.NameConstraints([x509.DNSName("example.com")], None)
        chain = [LEAF, MIDDLE, ROOT]
        make = (a_leaf, a_middle, a_root)[place]
        own = SIGN if place == 0 else SIGN_CERTIFICATES
        basic = NO_CA if place == 0 else CA
        chain[place] = make(critical=[own, basic, constraints])

        assert "path-extension" == broken(*chain)

    def test_not_critical(self):
        """
        What is not critical does not matter.
        """
        constraints = x509.NameConstraints([x509.DNSName("example.com")], None)

        assert broken(LEAF, a_middle(extensions=[constraints]), ROOT) is None

    @pytest.mark.parametrize(
        ("critical", "is_good"),
        [
            ([SIGN], True),
            ([], True),
            ([usage("key_agreement")], False),
            ([SIGN_CERTIFICATES], False),
        ],
    )
    def test_usage(self, critical, is_good):
        """
        The signer may sign, or nothing is said of it.
        """
        leaf = a_leaf(critical=critical)

        assert (None if is_good else "path-usage") == broken(leaf, MIDDLE, ROOT)

    def test_weak_digest(self):
        """
        A certificate that is signed over SHA-1 may be forged.
        """
        leaf = a_leaf(digest=hashes.SHA224())

        assert "path-algorithm" == broken(leaf, MIDDLE, ROOT)

    def test_weak_key(self):
        """
        So may one below a short key.
        """
        short = rsa_key(1024)
        middle = a_middle(key=short)
        leaf = a_leaf(signer=short, digest=hashes.SHA256())

        assert "path-algorithm" == broken(leaf, middle, ROOT)

    @pytest.mark.parametrize(
        "slow",
        [slow_key(), ec.generate_private_key(ec.BrainpoolP512R1())],
        ids=["RSA", "EC"],
    )
    def test_slow_key(self, slow):
        """
        Nor is a key tried that takes long to verify with.
        """
        middle = a_middle(key=slow)
        leaf = a_leaf(signer=slow, digest=hashes.SHA256())

        assert "path-algorithm" == broken(leaf, middle, ROOT)

    @pytest.mark.parametrize(
        ("at", "is_good"),
        [
            (SINCE, True),
            (UNTIL, True),
            (SINCE - SECOND, False),
            (UNTIL + SECOND, False),
            (None, True),
        ],
    )
    @pytest.mark.parametrize("place", range(3))
    def test_dates(self, place, at, is_good):
        """
        All are within their dates at the instant, ends included; without one
        they are not asked for.
        """
        long = {"since": SINCE - 9 * SECOND, "until": UNTIL + 9 * SECOND}
        chain = [a_leaf(**long), a_middle(**long), a_root(**long)]
        chain[place] = (LEAF, MIDDLE, ROOT)[place]

        assert (None if is_good else "path-dates") == broken(*chain, at=at)

    def test_curve(self):
        """
        Curves may differ.
        """
        key = ec_key("Signer", ec.SECP256R1)
        extensions = [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])]

        assert broken(a_leaf(key=key, extensions=extensions), MIDDLE) is None

    def test_self_issued(self):
        """
        The signer is no authority of its own.
        """
        alone = certify("Root", "Root", critical=[SIGN_CERTIFICATES, CA])

        assert "path-usage" == broken(alone, alone)
