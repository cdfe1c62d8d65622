import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.simulate.asking import SGX, ask, send
from tests.simulate.machines import (
    AZURE,
    HIGHEST,
    by_manifest,
    by_ppid,
    certificates_of,
    extension_of,
    playing,
    says_cached,
)
from thim.simulate.platform_part import TcbPart


@pytest.fixture
def ice(simulated):
    """
    A machine with two raw TCBs.
    """
    return simulated.platform("ice-1")


class TestManifest:
    @pytest.fixture
    def multi(self):
        """
        A world in which one machine has several packages.
        """
        with playing(ice_1={"multi_package": True}) as running:
            yield running

    @pytest.mark.parametrize(
        ("what", "more", "count"),
        [
            ("pckcert", HIGHEST, 1),
            ("pckcerts", {}, 5),
            ("pckcerts/config", {"cpusvn": "FF" * 16}, 5),
        ],
    )
    def test_by_manifest(self, multi, what, more, count):
        """
        A machine of several packages asks by its manifest, and Intel does not
        keep its keys.
        """
        machine = multi.platform("ice-1")
        body = by_manifest(machine, **more)
        got = send(multi.url, f"{SGX}/{what}", body)
        leaves = certificates_of(got)

        assert count == len(leaves)
        assert leaves == list(machine.pck_certificates[:count])
        assert not any(says_cached(leaf) for leaf in leaves)

    def test_by_ppid(self, multi):
        """
        Without its manifest it is unknown, before and after.
        """
        machine = multi.platform("ice-1")
        before = ask(multi.url, by_ppid(machine))
        send(multi.url, f"{SGX}/pckcerts", by_manifest(machine))

        assert (404, 404) == (
            before.status,
            ask(multi.url, by_ppid(machine)).status,
        )

    def test_single_package(self, ice, get):
        """
        A machine of one package has no manifest; its certificates say that
        its keys are kept.
        """
        assert ice.manifest is None
        assert all(says_cached(c) for c in certificates_of(get(by_ppid(ice))))

    def test_keys_not_kept(self):
        """
        A machine of one package may have them not kept.
        """
        with playing(ice_1={"cached_keys": False}) as running:
            machine = running.platform("ice-1")

        assert not any(says_cached(c) for c in machine.pck_certificates)

    @pytest.mark.parametrize("size", [8431, 56442])
    def test_given(self, size):
        """
        A manifest of the world's own is known by its bytes, however long.
        """
        manifest = (b"\xab" * size).hex()
        with playing(ice_1={"manifest": manifest}) as running:
            machine = running.platform("ice-1")
            got = send(running.url, f"{SGX}/pckcerts", by_manifest(machine))

        assert (200, size) == (got.status, len(machine.manifest))

    def test_of_nobody(self, multi):
        """
        A manifest of no machine of the world is unknown.
        """
        body = by_manifest(multi.platform("ice-1"))
        body["platformManifest"] = body["platformManifest"][:-2] + "00"

        assert 404 == send(multi.url, f"{SGX}/pckcerts", body).status

    def test_no_manifest(self, multi):
        """
        Bytes that are no manifest are told apart.
        """
        body = {"platformManifest": "00" * 8431, "pceid": "0000"}
        got = send(multi.url, f"{SGX}/pckcerts", body)

        assert (400, "InvalidPlatformManifest") == (
            got.status,
            got["error-code"],
        )


class TestMachine:
    def test_names(self, simulated, ice):
        """
        A machine is told as its owner and Intel know it.
        """
        (part,) = (
            p for p in simulated.intel.world.platforms if p.name == "ice-1"
        )

        assert bytes.fromhex(part.qe_id) == ice.qe_id
        assert (16, 384) == (len(ice.ppid), len(ice.enc_ppid))
        assert [13, 13] == [tcb.pcesvn for tcb in ice.raw_tcbs]
        assert ice.is_registered

    def test_given_names(self):
        """
        Names that the world gives are kept.
        """
        names = {"ppid": "AB" * 16, "enc_ppid": "CD" * 384}
        with playing(ice_1=names) as running:
            machine = running.platform("ice-1")
            got = ask(running.url, by_ppid(machine))

        assert bytes.fromhex("AB" * 16) == machine.ppid
        assert machine.ppid in extension_of(certificates_of(got)[0])

    def test_admin(self, simulated, ice):
        """
        The admin port shows the same.
        """
        got = ask(simulated.admin_url, "/platforms/ice-1").json

        assert (ice.enc_ppid.hex().upper(), None, "platform") == (
            got["enc_ppid"],
            got["manifest"],
            got["ca"],
        )
        assert [
            c.public_bytes(Encoding.PEM).decode() for c in ice.pck_certificates
        ] == got["pck_certificates"]
        assert {"cpusvn": "10100303FF01" + "0" * 20, "pcesvn": 13} == got[
            "raw_tcbs"
        ][0]

    def test_admin_of_nobody(self, simulated):
        """
        It does not know others.
        """
        assert 404 == ask(simulated.admin_url, "/platforms/x").status

    def test_replaced_world(self, simulated, get):
        """
        Machines of a new world are known at once.
        """
        with playing(AZURE) as running:
            machine = running.platform("coffee-lake")
            world = running.intel.world
        before = get(by_ppid(machine)).status
        simulated.intel.world = world

        assert (404, 200) == (before, get(by_ppid(machine)).status)

    def test_in_a_quote(self, simulated, ice):
        """
        The certificate in a quote is the one that is served.
        """
        quote = simulated.quote("ice-1", "sgx-v3", raw_tcb=1)

        assert ice.pck_certificates[0].public_bytes(Encoding.PEM) in quote

    def test_in_a_quote_of_its_own(self):
        """
        So it is where the machine has certificates beneath all levels.
        """
        tcb = TcbPart(cpusvn="01" + "0" * 30, pcesvn=1)
        fields = {"pck_tcbs": [tcb], "raw_tcbs": [tcb]}
        with playing(sapphire_1=fields) as running:
            (leaf,) = running.platform("sapphire-1").pck_certificates
            quote = running.quote("sapphire-1", "tdx-v4")

        assert leaf.public_bytes(Encoding.PEM) in quote
