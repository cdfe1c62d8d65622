import pytest

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from tests.amd.certificates import (
    BASIC,
    CHAINS,
    SECOND,
    SHORT,
    SINCE,
    UNTIL,
    anchors,
    ark,
    ark_extensions,
    ask,
    ask_extensions,
    chain,
    distribution_point,
    extension,
    flip,
    genuine_chain,
    leaf,
    load,
    name,
    standard,
    usage,
)
from thim.amd.authorities import (
    AMD_ROOTS,
    CaChain,
    KeyKind,
    find_authority,
    find_common_name,
    recognise_ca,
    verify_ca_chain,
    verify_validity,
)
from thim.amd.tcb import ProductLine
from thim.errors import MalformedError, UntrustedError
from thim.x509.chain import TrustAnchors, spki_sha256, to_pem


MILAN, GENOA, TURIN = ProductLine
VCEK, VLEK = KeyKind
URL = "https://kdsintf.amd.com/vcek/v1/Milan/crl"


def verify(intermediate=None, root=None, *, at=SINCE, trusted=None):
    """
    Verify a chain, which holds but for what a test changes.
    """
    ca_chain = CaChain.from_certificates(
        ask() if intermediate is None else intermediate,
        ark() if root is None else root,
    )
    verify_ca_chain(ca_chain, anchors=trusted or anchors(), at=at)


def reason_of(*certificates, error=MalformedError, **arguments):
    """
    Return why *certificates* are refused.
    """
    with pytest.raises(error) as e:
        verify(*certificates, **arguments)
    return e.value.reason


def genuine(corpus, stem):
    """
    Read one CA certificate of AMD's.
    """
    pem = (corpus / "amd" / "ca" / f"{stem}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem)


class TestNames:
    def test_common_name(self):
        """
        The common name, where the rest is as AMD writes it.
        """
        assert "anything" == find_common_name(name("anything"))

    @pytest.mark.parametrize(
        "other",
        [
            name("ARK-Milan", organization="Advanced Micro Device"),
            name("ARK-Milan", more=[(NameOID.COMMON_NAME, "ARK-Milan")]),
            name("ARK-Milan", more=[(NameOID.COMMON_NAME, "ARK-Genoa")]),
            name("ARK-Milan", more=[(NameOID.COUNTRY_NAME, "US")]),
            x509.Name(list(name("ARK-Milan"))[:-1]),
            x509.Name(list(name("ARK-Milan"))[1:]),
            x509.Name(
                [
                    *list(name("ARK-Milan"))[:-1],
                    x509.NameAttribute(NameOID.SURNAME, "ARK-Milan"),
                ]
            ),
            x509.Name([*list(name("a"))[1:], *list(name("b"))[-1:]]),
            x509.Name([*list(name("ARK-Milan"))[1:], *list(name("x"))[1:2]]),
            x509.Name(
                [*list(name("ARK-Milan"))[:-1], next(iter(name("ARK-Milan")))]
            ),
            x509.Name([]),
        ],
    )
    def test_other_attributes(self, other):
        """
        Six attributes, each as AMD writes it; one more, less or else is none.
        """
        assert find_common_name(other) is None

    def test_order(self):
        """
        The order of attributes means nothing.
        """
        backwards = x509.Name(list(name("ARK-Milan"))[::-1])

        assert (MILAN, None) == find_authority(backwards)

    @pytest.mark.parametrize(
        ("common_name", "authority"),
        [
            ("ARK-Genoa", (GENOA, None)),
            ("SEV-Milan", (MILAN, VCEK)),
            ("SEV-VLEK-Turin", (TURIN, VLEK)),
            ("SEV-VCEK", None),
            ("sev-milan", None),
            ("SEV-Milan-B0", None),
            ("ARK-VLEK-Milan", None),
            ("", None),
        ],
    )
    def test_authority(self, common_name, authority):
        """
        An authority is known by its exact name.
        """
        if not common_name:
            assert find_authority(x509.Name([])) is authority
        else:
            assert authority == find_authority(name(common_name))


class TestRecognise:
    def test_genuine(self, corpus):
        """
        AMD's ten certificates.
        """
        found = {
            path.stem: recognise_ca(genuine(corpus, path.stem))
            for path in (corpus / "amd" / "ca").iterdir()
        }

        assert {
            "milan-ark": (MILAN, None),
            "genoa-ark": (GENOA, None),
            "turin-ark": (TURIN, None),
            "milan-ask": (MILAN, VCEK),
            "genoa-ask": (GENOA, VCEK),
            "genoa-ask-2": (GENOA, VCEK),
            "turin-ask": (TURIN, VCEK),
            "milan-asvk": (MILAN, VLEK),
            "genoa-asvk": (GENOA, VLEK),
            "turin-asvk": (TURIN, VLEK),
        } == found

    def test_a_leaf(self):
        """
        A leaf is no authority.
        """
        assert recognise_ca(load(leaf())) is None


class TestCaChain:
    @pytest.mark.parametrize("stem", CHAINS)
    def test_genuine(self, corpus, stem):
        """
        What AMD's chains say, and they are written as they were read.
        """
        folder = corpus / "amd" / "ca"
        intermediate = genuine(corpus, stem)
        root = genuine(corpus, f"{stem.partition('-')[0]}-ark")
        pem = to_pem([intermediate, root])
        ca_chain = CaChain.from_pem(pem)

        assert ca_chain == CaChain.from_certificates(intermediate, root)
        assert pem == ca_chain.to_pem()
        assert pem.startswith((folder / f"{stem}.pem").read_bytes())
        assert stem.partition("-")[0] == ca_chain.product.value.lower()
        assert (VLEK if "asvk" in stem else VCEK) is ca_chain.kind
        assert intermediate.not_valid_before_utc == ca_chain.issued
        assert root.not_valid_after_utc <= intermediate.not_valid_after_utc
        assert root.not_valid_after_utc == ca_chain.not_after

    def test_not_after(self):
        """
        A chain ends with the first of its certificates.
        """
        first = CaChain.from_certificates(ask(until=UNTIL - SECOND), ark())
        second = CaChain.from_certificates(ask(), ark(until=UNTIL - SECOND))

        assert UNTIL - SECOND == first.not_after
        assert UNTIL - SECOND == second.not_after

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_number_of_blocks(self, count):
        """
        There are two certificates in a chain.
        """
        with pytest.raises(MalformedError, match="2 blocks") as e:
            CaChain.from_pem(to_pem([ask(), ark(), ark()][:count]))
        assert "certificate-malformed" == e.value.reason

    def test_behind_them(self):
        """
        Nothing follows.
        """
        with pytest.raises(MalformedError, match="2 blocks"):
            CaChain.from_pem(to_pem([ask(), ark()]) + b"# end\n")

    @pytest.mark.parametrize(
        "stems",
        [
            ("ark", "ask"),
            ("ark", "ark"),
            ("ask", "ask"),
        ],
    )
    def test_order(self, stems):
        """
        The intermediate comes first, and the ARK second.
        """
        made = {"ark": ark(), "ask": ask()}

        with pytest.raises(MalformedError, match="not an intermediate") as e:
            CaChain.from_pem(to_pem([made[stem] for stem in stems]))
        assert "certificate-name" == e.value.reason

    def test_two_product_lines(self):
        """
        Both are of one product line.
        """
        with pytest.raises(MalformedError, match="two product lines") as e:
            CaChain.from_certificates(ask("Genoa"), ark("Milan"))
        assert "certificate-issuer" == e.value.reason

    @pytest.mark.parametrize("place", [0, 1])
    def test_other_names(self, place):
        """
        A name that is no authority's.
        """
        made = [ask(), ark()]
        made[place] = load(leaf())

        with pytest.raises(MalformedError, match="'SEV-VCEK' is not") as e:
            CaChain.from_certificates(*made)
        assert "certificate-name" == e.value.reason

    @pytest.mark.parametrize("place", [0, 1])
    def test_frames(self, place):
        """
        Both certificates are read with their frames.
        """
        algorithm = SHORT[:-1] + b"\x20"
        made = [ask(), ark()]
        made[place] = [ask, ark][place](algorithm=algorithm)

        with pytest.raises(MalformedError) as e:
            CaChain.from_certificates(*made)
        assert "certificate-algorithm" == e.value.reason
        with pytest.raises(MalformedError) as e:
            CaChain.from_pem(to_pem(made))
        assert "certificate-algorithm" == e.value.reason


class TestVerifyGenuine:
    @pytest.mark.parametrize("stem", CHAINS)
    def test_holds(self, corpus, stem):
        """
        AMD's chains hold from the intermediate's first instant to the ARK's
        last one, and not a second before or after.
        """
        ca_chain = genuine_chain(corpus, stem)
        first = max(ca_chain.issued, ca_chain.ark.not_valid_before_utc)

        for at in (first, ca_chain.not_after):
            verify_ca_chain(ca_chain, anchors=AMD_ROOTS, at=at)
        with pytest.raises(UntrustedError, match="ask: valid") as e:
            verify_ca_chain(ca_chain, anchors=AMD_ROOTS, at=first - SECOND)
        assert "ask-not-yet-valid" == e.value.reason
        after = ca_chain.not_after + SECOND
        with pytest.raises(UntrustedError, match="ark: valid") as e:
            verify_ca_chain(ca_chain, anchors=AMD_ROOTS, at=after)
        assert "ark-expired" == e.value.reason

    def test_pins(self, corpus):
        """
        The three keys of AMD's roots are pinned, and no others.
        """
        pins = {
            spki_sha256(genuine(corpus, f"{product.value.lower()}-ark"))
            for product in ProductLine
        }

        assert pins == AMD_ROOTS.spki_sha256

    def test_negatives(self, corpus):
        """
        Two files in the format of an older CA of AMD's are no certificates.
        """
        for stem in ("ark.cert.bad", "ark.cert.sig"):
            der = (corpus / "negative" / "snp-certs" / stem).read_bytes()
            with pytest.raises(MalformedError) as e:
                CaChain.from_pem(der)
            assert "certificate-malformed" == e.value.reason


class TestVerify:
    @pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    def test_holds(self, product, kind):
        """
        A chain that is made like AMD's holds under its own anchor.
        """
        verify_ca_chain(chain(product, kind=kind), anchors=anchors(), at=SINCE)

    def test_frames(self):
        """
        A chain is not believed to be framed well: its certificates are looked
        at, whoever made it.
        """
        ca_chain = CaChain(
            product=MILAN,
            kind=VCEK,
            intermediate=ask(algorithm=SHORT[:-1] + b"\x20"),
            ark=ark(),
        )

        with pytest.raises(MalformedError) as e:
            verify_ca_chain(ca_chain, anchors=anchors(), at=SINCE)
        assert "certificate-algorithm" == e.value.reason

    def test_not_pinned(self):
        """
        A root that nobody pinned is not trusted, whatever it is called.
        """
        assert "root-not-pinned" == reason_of(
            trusted=AMD_ROOTS, error=UntrustedError
        )
        assert "root-not-pinned" == reason_of(
            trusted=TrustAnchors(spki_sha256=frozenset([b""])),
            error=UntrustedError,
        )

    def test_pinned_for_another_product_line(self, corpus):
        """
        A key of AMD's is the root of its own product line only.
        """
        public = genuine(corpus, "milan-ark").public_key()
        key = public.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

        assert "root-not-pinned" == reason_of(
            ask("Genoa"),
            ark("Genoa", public=key),
            trusted=AMD_ROOTS,
            error=UntrustedError,
        )
        assert "certificate-signature" == reason_of(
            ask("Milan"),
            ark("Milan", public=key),
            trusted=AMD_ROOTS,
            error=UntrustedError,
        )

    def test_one_anchor_for_several_product_lines(self):
        """
        Of other anchors it is not known whose root they are.
        """
        verify(ask("Genoa"), ark("Genoa"))
        verify(ask("Turin"), ark("Turin"))

    def test_key(self):
        """
        CAs have keys of one kind.
        """
        small = rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key()
        der = small.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

        assert "certificate-key" == reason_of(ask(public=der))
        root = ark(public=der)
        trusted = TrustAnchors(spki_sha256=frozenset({spki_sha256(root)}))
        assert "certificate-key" == reason_of(None, root, trusted=trusted)

    @pytest.mark.parametrize(
        "changes",
        [
            {"basic": None},
            {"basic": standard(BASIC(ca=True, path_length=0))},
            {
                "basic": standard(
                    BASIC(ca=True, path_length=None), critical=True
                )
            },
            {"basic": standard(BASIC(ca=True, path_length=1), critical=True)},
            {
                "basic": standard(
                    BASIC(ca=False, path_length=None), critical=True
                )
            },
            {"usage": None},
            {"usage": usage("key_cert_sign", "crl_sign")},
            {"usage": usage("crl_sign")},
            {"usage": usage("key_cert_sign", "digital_signature")},
            {"point": None},
            {"point": distribution_point(URL, URL)},
            {"point": distribution_point(URL.replace("Milan", "Genoa"))},
            {"point": distribution_point(URL.replace("vcek", "vlek"))},
            {"point": distribution_point(URL.replace("https", "http"))},
        ],
    )
    def test_constraints_of_an_intermediate(self, changes):
        """
        It may sign certificates, of leaves only, and names its list.
        """
        intermediate = ask(extensions=ask_extensions(**changes))

        assert "certificate-constraints" == reason_of(intermediate)

    @pytest.mark.parametrize(
        "changes",
        [
            {"basic": None},
            {"basic": standard(BASIC(ca=True, path_length=None))},
            {"basic": standard(BASIC(ca=True, path_length=0), critical=True)},
            {"usage": usage("key_cert_sign")},
            {"usage": usage("crl_sign")},
            {"point": None},
            {"point": distribution_point(URL.replace("vcek", "vlek"))},
        ],
    )
    def test_constraints_of_an_ark(self, changes):
        """
        It may sign certificates and lists, and names its list.
        """
        root = ark(extensions=ark_extensions(**changes))

        assert "certificate-constraints" == reason_of(None, root)

    def test_uncritical_usage(self):
        """
        What a key is for must be understood.
        """
        flags = load_extension(usage("key_cert_sign"))
        intermediate = ask(extensions=ask_extensions(usage=standard(flags)))

        assert "certificate-constraints" == reason_of(intermediate)

    def test_critical_distribution_point(self):
        """
        AMD does not call its list critical.
        """
        point = load_extension(distribution_point(URL))
        point = standard(point, critical=True)
        intermediate = ask(extensions=ask_extensions(point=point))

        assert "certificate-constraints" == reason_of(intermediate)

    def test_key_ids(self):
        """
        The ids of both keys may be there.
        """
        public = ark().public_key()
        ids = [
            standard(x509.SubjectKeyIdentifier.from_public_key(public)),
            standard(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
            ),
        ]

        verify(
            ask(extensions=[*ask_extensions(), *ids]),
            ark(extensions=[*ark_extensions(), *ids]),
        )

    @pytest.mark.parametrize(
        "more",
        [
            standard(x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.3")])),
            extension(b"\x2a\x03", b"\x05\x00"),
            standard(x509.SubjectKeyIdentifier(b"1"), critical=True),
        ],
    )
    def test_other_extensions(self, more):
        """
        There is nothing else.
        """
        extended = [*ask_extensions(), more]
        assert "certificate-extension" == reason_of(ask(extensions=extended))
        extended = [*ark_extensions(), more]
        assert "certificate-extension" == reason_of(
            None, ark(extensions=extended)
        )

    def test_issuer(self):
        """
        The intermediate and the ARK name the ARK as their issuer.
        """
        stranger = name("ARK-Milan", organization="AMD")

        assert "certificate-issuer" == reason_of(
            ask(issuer=stranger), error=UntrustedError
        )
        assert "certificate-issuer" == reason_of(
            None, ark(issuer=stranger), error=UntrustedError
        )

    def test_signature(self):
        """
        The ARK signed both, itself and the intermediate.
        """
        bad_ask, bad_ark = (
            load(flip(each.public_bytes(Encoding.DER), -1))
            for each in (ask(), ark())
        )

        assert "certificate-signature" == reason_of(
            bad_ask, error=UntrustedError
        )
        assert "certificate-signature" == reason_of(
            None, bad_ark, error=UntrustedError
        )

    @pytest.mark.parametrize(
        ("changes", "root_changes", "at", "reason"),
        [
            ({"since": SINCE + SECOND}, {}, SINCE, "ask-not-yet-valid"),
            ({"until": UNTIL - SECOND}, {}, UNTIL, "ask-expired"),
            ({}, {"since": SINCE + SECOND}, SINCE, "ark-not-yet-valid"),
            ({}, {"until": UNTIL - SECOND}, UNTIL, "ark-expired"),
        ],
    )
    def test_dates(self, changes, root_changes, at, reason):
        """
        Both are within their dates.
        """
        assert reason == reason_of(
            ask(**changes), ark(**root_changes), at=at, error=UntrustedError
        )

    def test_validity_includes_both_ends(self):
        """
        The first and the last instant count, and nothing beyond them.
        """
        verify_validity("leaf", SINCE, UNTIL, SINCE)
        verify_validity("leaf", SINCE, UNTIL, UNTIL)
        for at in (SINCE - SECOND / 2, UNTIL + SECOND / 2):
            with pytest.raises(UntrustedError, match="leaf: valid 2023-01-01"):
                verify_validity("leaf", SINCE, UNTIL, at)


def load_extension(der):
    """
    Read the one value in the extension *der*.
    """
    return next(each.value for each in load(leaf(extensions=[der])).extensions)
