import base64
import hashlib
import subprocess

from datetime import timedelta

import pytest

from tests.amd_vendor import (
    amd_settings,
    chip_id_of,
    kds,
    name_of,
    path_of,
    tcb_of,
)
from tests.made_amd import name_of as waiting
from tests.simulate.chips import playing
from tests.vendors import await_so, facing
from thim.amd.authorities import CaChain
from thim.amd.crl import Crl, verify_crl
from thim.amd.endorsement_key import EndorsementKey, verify_endorsement_key
from thim.amd.kds import vlek_path
from thim.collateral.chips import Chip
from thim.collateral.records import Kind
from thim.services.amd_door import AmdDoor
from thim.services.vendors import FillMode
from thim.store.ledger import Ledger


METADATA = {"Metadata": "true"}
CERTIFICATION = "/metadata/THIM/amd/certification"


@pytest.fixture(scope="module")
def vendor():
    """
    An AMD at a standing clock that does not count requests.
    """
    with playing() as running:
        yield running


@pytest.fixture(scope="module")
def served(vendor, tmp_path_factory):
    """
    A service that asks it.
    """
    store = tmp_path_factory.mktemp("kds") / "thim.db"
    with facing(vendor, store, amd_settings(vendor)) as running:
        yield running


@pytest.fixture(scope="module")
def world(vendor):
    """
    The vendor's world.
    """
    return vendor.intel.world


def verify(der, pem, vendor):
    """
    Verify a VCEK under a chain.
    """
    verify_endorsement_key(
        EndorsementKey.from_der(der),
        CaChain.from_pem(pem),
        anchors=vendor.anchors,
        at=vendor.clock(),
    )


def bring_vlek(store, vendor):
    """
    Import a provider's VLEK and its chain.
    """
    chip = vendor.chip("milan-2")
    with Ledger(store, vendor.anchors) as ledger:
        door = AmdDoor(ledger, vendor.clock())
        door.add(door.verify_chain(chip.vlek_chain, "a file"))
        door.add_key(door.verify_key(chip.vlek, "a file"))


class TestVcek:
    @pytest.mark.parametrize(
        "chip", ["milan-1", "genoa-1", "bergamo-1", "turin-1"]
    )
    def test_as_kds(self, served, vendor, world, chip):
        """
        A VCEK comes as the vendor signed it, in DER, and its chain beside it.
        """
        got = served.get(path_of(vendor, chip))
        chain = served.get(
            f"/vcek/v1/{name_of(world, chip).product.value}/cert_chain"
        )

        assert (200, "application/pkix-cert") == (
            got.status,
            got["content-type"],
        )
        verify(got.body, chain.body, vendor)
        assert name_of(world, chip).tcb == EndorsementKey.from_der(got.body).tcb

    def test_headers(self, served, vendor):
        """
        It may be kept for a day, and says which one it is.
        """
        got = served.get(path_of(vendor, "milan-1"))
        digest = hashlib.sha256(got.body).hexdigest()

        assert "max-age=86400" == got["cache-control"]
        assert f"sha-256={digest}" == got["thim-digest"]
        assert "request-id" in got
        again = served.get(
            path_of(vendor, "milan-1"), {"If-None-Match": got["etag"]}
        )
        assert (304, b"") == (again.status, again.body)

    @pytest.mark.parametrize(
        "query",
        [
            "blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219",
            "ucodeSPL=219&snpSPL=24&teeSPL=0&blSPL=4",
            "blSPL=04&teeSPL=00&snpSPL=24&ucodeSPL=219",
            "snpSPL=24&ucodeSPL=219&blSPL=4",
            "blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219&fmcSPL=0&more=1",
        ],
    )
    def test_parameters(self, served, vendor, world, query):
        """
        Parameters come in any order, padded or not; what is missing is 0.
        """
        hw_id = name_of(world, "milan-1").hw_id.hex()
        expected = served.get(path_of(vendor, "milan-1")).body

        assert expected == served.get(f"/vcek/v1/Milan/{hw_id}?{query}").body
        upper = f"/vcek/v1/milan/{hw_id.upper()}?{query}"
        assert expected == served.get(upper).body

    def test_turin(self, served, vendor, world):
        """
        A Turin chip may be named by its whole CHIP_ID too.
        """
        name = name_of(world, "turin-1")
        query = path_of(vendor, "turin-1").partition("?")[2]
        got = served.get(f"/vcek/v1/Turin/{chip_id_of(name)}?{query}")

        assert served.get(path_of(vendor, "turin-1")).body == got.body

    def test_bergamo(self, served, vendor, world):
        """
        Bergamo and Siena are Genoa.
        """
        path = path_of(vendor, "bergamo-1")
        assert "/Genoa/" in path
        expected = served.get(path).body

        assert expected == served.get(path.replace("Genoa", "Bergamo")).body

    @pytest.mark.parametrize(
        ("path", "parameter"),
        [
            ("/vcek/v1/Naples/{milan}?blSPL=1", "product"),
            ("/vcek/v1/Milan/abcd?blSPL=1", "hw_id"),
            ("/vcek/v1/Milan/{milan}0?blSPL=1", "hw_id"),
            ("/vcek/v1/Milan/{zz}?blSPL=1", "hw_id"),
            ("/vcek/v1/Milan/{zero}?blSPL=1", "hw_id"),
            ("/vcek/v1/Milan/{turin}?blSPL=1", "hw_id"),
            ("/vcek/v1/Turin/{milan}?blSPL=1", "hw_id"),
            ("/vcek/v1/Milan/{milan}?blSPL=256", "blSPL"),
            ("/vcek/v1/Milan/{milan}?snpSPL=-1", "snpSPL"),
            ("/vcek/v1/Milan/{milan}?teeSPL=0x1", "teeSPL"),
            ("/vcek/v1/Milan/{milan}?ucodeSPL=", "ucodeSPL"),
            ("/vcek/v1/Milan/{milan}?fmcSPL=1", "fmcSPL"),
            ("/vcek/v1/Naples/cert_chain", "product"),
            ("/vlek/v1/Rome/crl", "product"),
            ("/vlek/v1/Milan/cert?blSPL=300", "blSPL"),
        ],
    )
    def test_bad(self, served, world, path, parameter):
        """
        What cannot be used is a 400 that names the parameter.
        """
        got = served.get(
            path.format(
                milan=name_of(world, "milan-1").hw_id.hex(),
                turin=name_of(world, "turin-1").hw_id.hex(),
                zero="0" * 128,
                zz="zz" * 64,
            )
        )

        assert 400 == got.status
        assert f" {parameter}: got ".encode() in got.body

    @pytest.mark.parametrize(
        "path",
        [
            "/vcek/v1/Milan/" + "ab" * 64 + "?blSPL=1",
            "/vcek/v1/Turin/" + "ab" * 8 + "?blSPL=1",
        ],
    )
    def test_unknown(self, served, path):
        """
        An unknown chip is a 404 without a body.
        """
        got = served.get(path)

        assert (404, b"") == (got.status, got.body)
        assert "vendor-has-none" == got["thim-reason"]

    def test_beyond(self, served, world):
        """
        So is a TCB that the chip does not have.
        """
        hw_id = name_of(world, "milan-1").hw_id.hex()
        got = served.get(f"/vcek/v1/Milan/{hw_id}?blSPL=200")

        assert (404, b"") == (got.status, got.body)

    def test_asked_once(self, served, vendor):
        """
        The vendor is asked once for what is asked for often.
        """
        for _ in range(5):
            served.get(path_of(vendor, "milan-2"))
        hw_id = path_of(vendor, "milan-2").partition("?")[0]

        assert 1 == len(
            [r for r in vendor.requests.of("vcek") if hw_id in r.path]
        )

    @pytest.mark.parametrize("prefix", ["/baseline/default", "/baseline/20"])
    def test_baselines(self, served, vendor, prefix):
        """
        A chip has the same key under every baseline.
        """
        path = path_of(vendor, "milan-1")
        expected = served.get(path).body

        assert expected == served.get(f"{prefix}{path}").body

    def test_unknown_baseline(self, served, vendor):
        """
        But it must be one.
        """
        got = served.get(f"/baseline/nobodys{path_of(vendor, 'milan-1')}")

        assert (404, "unknown-baseline") == (got.status, got["thim-reason"])

    def test_past(self, served, vendor):
        """
        A certificate that was not issued yet is none below ``/at``.
        """
        path = path_of(vendor, "milan-1")
        served.get(path)

        before = served.get(f"/at/2020-11-01{path}")
        now = served.get(f"/at/2026-11-02T09:00:00Z{path}")
        assert (404, b"") == (before.status, before.body)
        assert 200 == now.status
        assert "2026-11-02T09:00:00Z" in now["warning"]
        assert "2026-11-02T09:00:00Z" == now["thim-as-of"]

    def test_future(self, served, vendor, world):
        """
        Nobody knows the future.
        """
        path = path_of(vendor, "milan-1")
        served.get(path)
        for each in (path, "/vlek/v1/Milan/cert?blSPL=3"):
            got = served.get(f"/at/2030-01-01{each}")
            assert (400, "parameter") == (got.status, got["thim-reason"])


class TestExpired:
    @pytest.fixture
    def old(self, tmp_path):
        """
        A store whose VCEK and VLEK have expired, and their vendor.
        """
        store = tmp_path / "thim.db"
        with playing() as vendor:
            with facing(vendor, store, amd_settings(vendor)) as served:
                assert 200 == served.get(path_of(vendor, "milan-1")).status
            bring_vlek(store, vendor)
            vendor.clock.advance(timedelta(days=8 * 365))
            vendor.stop_listening()
            yield store, vendor

    @pytest.mark.parametrize("kind", [Kind.VCEK, Kind.VLEK])
    def test_by_rule(self, old, kind):
        """
        An expired key is served and flagged, or refused: by the rule of its
        kind.
        """
        store, vendor = old
        rule = frozenset({kind})
        paths = {
            Kind.VCEK: path_of(vendor, "milan-1"),
            Kind.VLEK: vlek_path(vendor.chip("milan-2").reported),
        }
        with facing(vendor, store, refused_when_expired=rule) as served:
            got = {each: served.get(path) for each, path in paths.items()}
            before = served.get(f"/at/2026-11-02T09:00:00Z{paths[kind]}")

        refused = got.pop(kind)
        (flagged,) = got.values()
        assert (503, b"", "expired") == (
            refused.status,
            refused.body,
            refused["thim-reason"],
        )
        assert flagged["warning"].startswith('110 - "expired')
        assert (200, "max-age=0") == (flagged.status, flagged["cache-control"])
        assert 200 == before.status

    def test_refused_and_queued(self, old):
        """
        Who is refused an expired one is told when a newer may be there.
        """
        store, vendor = old
        before = vendor.clock() - timedelta(minutes=1)
        with Ledger(store, vendor.anchors) as ledger:
            for n in range(20):
                ledger.chips.add(waiting(n), before, 100)
        slowly = kds(vendor, interval=timedelta(seconds=10), burst=1)
        settings = amd_settings(
            vendor, upstreams=[slowly], wait=timedelta(milliseconds=100)
        )
        rule = frozenset({Kind.VCEK})
        with facing(
            vendor, store, settings, refused_when_expired=rule
        ) as served:
            got = served.get(path_of(vendor, "milan-1"))

        assert (503, b"", "expired") == (
            got.status,
            got.body,
            got["thim-reason"],
        )
        assert 200 <= int(got["retry-after"]) <= 300

    def test_refused_and_renewed(self, old):
        """
        Where expired ones are refused, a newer one is fetched for whoever
        asks, also of a chip that is out of service.
        """
        store, vendor = old
        rule, name = (
            frozenset({Kind.VCEK}),
            name_of(vendor.intel.world, "milan-1"),
        )
        with Ledger(store, vendor.anchors) as ledger:
            now = vendor.clock()
            chip = Chip(
                product=name.product,
                hw_id=name.hw_id,
                tcb=name.tcb,
                is_confirmed=False,
                name=None,
            )
            ledger.chip_table.put(chip, actor="me", now=now)
            ledger.chip_table.retire(
                name.product.value, name.hw_id, actor="me", now=now
            )
        settings = amd_settings(vendor)
        with facing(
            vendor, store, settings, refused_when_expired=rule
        ) as served:
            path = path_of(vendor, "milan-1")
            away = served.get(path)
            vendor.listen_again()

            def is_renewed():
                vendor.clock.advance(timedelta(minutes=10))
                return served.get(path).status == 200

            await_so(is_renewed)

        assert (503, b"", "expired") == (
            away.status,
            away.body,
            away["thim-reason"],
        )


class TestFiles:
    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    @pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
    def test_chain(self, served, vendor, kind, product):
        """
        A chain is two PEM blocks with nothing behind, as the vendor sent it.
        """
        got = served.get(f"/{kind}/v1/{product}/cert_chain")
        chain = CaChain.from_pem(got.body)

        assert (200, "application/x-pem-file") == (
            got.status,
            got["content-type"],
        )
        assert got.body.endswith(b"-----END CERTIFICATE-----\n")
        assert 2 == got.body.count(b"-----BEGIN")
        assert (product, kind) == (chain.product.value, chain.kind.value)

    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    def test_crl(self, served, vendor, kind):
        """
        A revocation list is DER, signed by the ARK.
        """
        got = served.get(f"/{kind}/v1/Milan/crl")
        chain = served.get(f"/{kind}/v1/Milan/cert_chain")
        ark = CaChain.from_pem(chain.body).ark

        assert (200, "application/pkix-crl") == (
            got.status,
            got["content-type"],
        )
        verify_crl(Crl.from_der(got.body), ark, now=vendor.clock())

    def test_crl_first(self, vendor, tmp_path):
        """
        Where nothing is known yet, a list brings its chain along.
        """
        settings = amd_settings(vendor)
        with facing(vendor, tmp_path / "thim.db", settings) as served:
            assert 200 == served.get("/vcek/v1/Turin/crl").status

    def test_vlek(self, served):
        """
        Nobody gets a VLEK from AMD through us.
        """
        got = served.get("/vlek/v1/Milan/cert?blSPL=3")

        assert (401, "no-vlek") == (got.status, got["thim-reason"])

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_methods(self, served, method):
        """
        These routes are for reading.
        """
        got = served.get("/vcek/v1/Milan/cert_chain", method=method)

        assert 405 == got.status

    def test_head(self, served):
        """
        HEAD is answered as GET, without the body.
        """
        got = served.get("/vcek/v1/Milan/cert_chain", method="HEAD")

        assert (200, b"") == (got.status, got.body)


class TestSnp:
    @pytest.mark.parametrize("chip", ["milan-1", "genoa-1", "turin-1"])
    def test_three(self, served, vendor, world, chip):
        """
        The VCEK, its intermediate and the ARK come in one, without being
        told whose chip it is.
        """
        name = name_of(world, chip)
        got = served.get(
            f"/SevSnpVM/certificates/{chip_id_of(name)}/{tcb_of(name)}"
            "?api-version=2020-10-15-preview&clientId=ConfidentialACI"
        )

        assert 200 == got.status
        assert 3 == got.body.count(b"-----END CERTIFICATE-----\n")
        assert got.body.endswith(b"-----END CERTIFICATE-----\n")
        first, _, rest = got.body.partition(b"-----END CERTIFICATE-----\n")
        leaf = first + b"-----END CERTIFICATE-----\n"
        verify(EndorsementKey.from_pem(leaf).der, rest, vendor)

    @pytest.mark.parametrize(
        "path",
        [
            "/SevSnpVM/certificates/deadbeef/db18000000000004",
            "/SevSnpVM/certificates/{chip}/deadbeef",
            "/SevSnpVM/certificates/{chip}/xyz",
            "/SevSnpVM/certificates/{chip}/" + "1" * 17,
            "/SevSnpVM/certificates/{unknown}/db18000000000004",
            "/InvalidTEEType/certificates/{chip}/db18000000000004",
        ],
    )
    def test_nothing(self, served, world, path):
        """
        Whatever is wrong is a 404 without a body.
        """
        chip = chip_id_of(name_of(world, "milan-1"))
        got = served.get(path.format(chip=chip, unknown="cd" * 64))

        assert (404, b"") == (got.status, got.body)


class TestCertification:
    def ask(self, served, name, headers=METADATA):
        """
        Ask as CCF does.
        """
        return served.get(
            f"{CERTIFICATION}?platformId={chip_id_of(name)}"
            f"&tcbVersion={tcb_of(name)}",
            headers,
        )

    def test_keys(self, served, vendor, world):
        """
        Azure's object has four keys, and every value is a text.
        """
        got = self.ask(served, name_of(world, "milan-1")).json

        assert ["vcekCert", "tcbm", "certificateChain", "cacheControl"] == list(
            got
        )
        assert {str} == set(map(type, got.values()))
        assert ("DB18000000000004", "86400") == (
            got["tcbm"],
            got["cacheControl"],
        )
        assert got["vcekCert"].endswith("-----END CERTIFICATE-----\n")
        leaf = EndorsementKey.from_pem(got["vcekCert"].encode())
        verify(leaf.der, got["certificateChain"].encode(), vendor)

    def test_openssl(self, served, world, tmp_path):
        """
        Openssl verifies what it holds.
        """
        got = self.ask(served, name_of(world, "milan-1")).json
        ask, mark, ark = got["certificateChain"].partition(
            "-----END CERTIFICATE-----\n"
        )
        files = {"vcek": got["vcekCert"], "ask": ask + mark, "ark": ark}
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        done = subprocess.run(
            [
                *("openssl", "verify", "-CAfile", "ark"),
                *("-untrusted", "ask", "-attime", "1793610000", "vcek"),
            ],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )

        assert (0, b"vcek: OK\n") == (done.returncode, done.stdout)

    def test_recorded(self, served, corpus):
        """
        The recorded answer of the real service has the same keys in the same
        order.
        """
        path = corpus / "amd" / "thim" / "aci-uvm-host-amd-certificate.json"
        text = path.read_text()

        keys = ["vcekCert", "tcbm", "certificateChain", "cacheControl"]
        assert keys == sorted(keys, key=text.index)

    @pytest.mark.parametrize(
        ("headers", "name"),
        [
            ({}, "Metadata"),
            ({"Metadata": "false"}, "Metadata"),
            ({**METADATA, "X-Forwarded-For": "10.0.0.1"}, "X-Forwarded-For"),
            ({**METADATA, "Host": "evil.example"}, "Host"),
        ],
    )
    def test_not_a_guest(self, served, world, headers, name):
        """
        Who is no guest's own program gets nothing.
        """
        got = self.ask(served, name_of(world, "milan-1"), headers)

        assert 400 == got.status
        assert f" {name}: got ".encode() in got.body

    @pytest.mark.parametrize(
        ("query", "name"),
        [
            ("", "platformId"),
            ("?platformId=ab", "platformId"),
            (f"?platformId={'0' * 128}&tcbVersion=1", "platformId"),
            (f"?platformId={'ab' * 64}", "tcbVersion"),
            (f"?platformId={'ab' * 64}&tcbVersion=zz", "tcbVersion"),
            (f"?platformId={'ab' * 64}&tcbVersion={'1' * 17}", "tcbVersion"),
            ("?tcbVersion=1", "platformId"),
        ],
    )
    def test_bad(self, served, query, name):
        """
        A chip must be named, since a service serves many.
        """
        got = served.get(f"{CERTIFICATION}{query}", METADATA)

        assert 400 == got.status
        assert name.encode() in got.body

    def test_unknown(self, served):
        """
        An unknown chip is a 404 without a body, for good.
        """
        got = served.get(
            f"{CERTIFICATION}?platformId={'ef' * 64}&tcbVersion=1", METADATA
        )

        assert (404, b"") == (got.status, got.body)


class TestModes:
    def test_offline(self, vendor, tmp_path):
        """
        Where no vendor is asked, what is not there is a 404.
        """
        settings = amd_settings(vendor, mode=FillMode.OFFLINE)
        with facing(vendor, tmp_path / "thim.db", settings) as served:
            got = served.get(path_of(vendor, "milan-1"))
            chain = served.get("/vcek/v1/Milan/cert_chain")

        assert (404, b"") == (got.status, got.body)
        assert (404, b"") == (chain.status, chain.body)

    def test_registered(self, vendor, tmp_path):
        """
        Where only registered chips are asked for, others are not.
        """
        before = len(vendor.requests)
        settings = amd_settings(vendor, mode=FillMode.REGISTERED)
        with facing(vendor, tmp_path / "thim.db", settings) as served:
            got = served.get(path_of(vendor, "milan-1"))

        assert (404, "not-registered") == (got.status, got["thim-reason"])
        assert not [
            r for r in list(vendor.requests)[before:] if "/vcek/" in r.path
        ]

    def test_nobody(self, vendor, tmp_path):
        """
        Where there is no upstream for AMD, that is what is said.
        """
        settings = amd_settings(vendor, upstreams=[])
        with facing(vendor, tmp_path / "thim.db", settings) as served:
            got = served.get(path_of(vendor, "milan-1"))

        assert (404, "no-upstream") == (got.status, got["thim-reason"])


def test_base64_is_wrapped(served, vendor, world):
    """
    PEM lines have 64 characters, so that strict readers take them.
    """
    name = name_of(world, "milan-1")
    got = served.get(
        f"/SevSnpVM/certificates/{chip_id_of(name)}/{tcb_of(name)}"
    )
    lines = got.body.decode().splitlines()

    assert 64 == max(map(len, lines))
    end = lines.index("-----END CERTIFICATE-----")
    der = base64.b64decode("".join(lines[1:end]))
    assert der == served.get(path_of(vendor, "milan-1")).body
