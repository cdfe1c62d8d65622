import datetime

import msgspec
import pytest

from tests.simulate.asking import DAY, NOW, ask
from tests.simulate.chips import (
    AFTER,
    BEFORE,
    CHIPS,
    SECRET,
    VLEK,
    fetch,
    file_path,
    playing,
    world_with,
)
from thim.amd.authorities import CaChain, KeyKind
from thim.amd.crl import Crl
from thim.amd.endorsement_key import EndorsementKey
from thim.amd.kds import (
    ChipTcb,
    chain_path,
    crl_path,
    vcek_path,
    vlek_path,
)
from thim.amd.tcb import ProductLine
from thim.simulate.amd_part import SplPart
from thim.simulate.world import World, default_world


NUMBERS = "[intel]\nnumbers = [{ number = 17, recovery_event = 2024-03-12 }]\n"


@pytest.fixture
def simulated():
    """
    The default world at NOW, without a limit.
    """
    with playing() as running:
        yield running


def at_tcb(simulated, name, **levels) -> str:
    """
    Return the path of the VCEK of a chip at these levels and no others.
    """
    path, _, _ = simulated.chip(name).path.partition("?")
    query = "&".join(f"{k}SPL={v}" for k, v in levels.items())
    return f"{path}?{query}"


class TestVcek:
    @pytest.mark.parametrize("name", CHIPS)
    def test_holds(self, simulated, name):
        """
        The VCEK of each chip is what the chip says, and holds under the
        chain, the list and the trust anchors.
        """
        chip = simulated.chip(name)
        found = fetch(simulated, chip.path)
        found.verify(simulated)

        assert (chip.product, chip.hw_id, chip.reported) == (
            found.key.product,
            found.key.hw_id,
            found.key.tcb,
        )
        assert chip.vcek == found.key.der
        assert chip.chain == found.chain.to_pem()

    @pytest.mark.parametrize("name", CHIPS)
    def test_paths(self, simulated, name):
        """
        It answers at the paths at which thim asks.
        """
        chip = simulated.chip(name)
        named = ChipTcb(
            product=chip.product, hw_id=chip.hw_id, tcb=chip.reported
        )
        paths = [
            vcek_path(named),
            *(chain_path(kind, chip.product) for kind in KeyKind),
            *(crl_path(kind, chip.product) for kind in KeyKind),
        ]
        if chip.csp_id:
            paths.append(vlek_path(chip.reported))
        statuses = {
            ask(simulated.url, path, headers=SECRET).status for path in paths
        }

        assert {200} == statuses
        assert chip.vcek == ask(simulated.url, paths[0]).body

    def test_same(self, simulated):
        """
        Whoever asks again gets the same bytes, also of another simulation.
        """
        chip = simulated.chip("genoa-1")
        first = ask(simulated.url, chip.path).body
        with playing(at=NOW + datetime.timedelta(hours=3)) as later:
            again = ask(later.url, chip.path).body

        assert first == again

    def test_reissued(self, simulated):
        """
        After half a year there is another certificate with the same key.
        """
        chip = simulated.chip("milan-1")
        first = fetch(simulated, chip.path)
        simulated.clock.advance(180 * DAY)
        second = fetch(simulated, chip.path)
        second.verify(simulated)

        assert first.key.der != second.key.der
        assert first.key.spki == second.key.spki
        assert 180 * DAY == second.key.not_before - first.key.not_before

    @pytest.mark.parametrize(
        ("levels", "status"),
        [
            ({"bl": 4, "tee": 0, "snp": 24, "ucode": 219}, 200),
            ({"ucode": "219", "snp": "024", "tee": "00", "bl": "04"}, 200),
            ({"bl": 4, "snp": 24, "ucode": 219}, 200),
            ({"bl": 3, "snp": 24, "ucode": 1}, 200),
            ({}, 200),
            ({"bl": 5, "snp": 24, "ucode": 219}, 404),
            ({"bl": 0, "tee": 1}, 404),
            ({"snp": 25}, 404),
            ({"bl": 256}, 400),
            ({"bl": -1}, 400),
            ({"bl": ""}, 400),
            ({"bl": "0x4"}, 400),
            ({"bl": "0004"}, 400),
            ({"bl": "٤"}, 400),
            ({"fmc": 0, "bl": 4}, 400),
        ],
    )
    def test_levels(self, simulated, levels, status):
        """
        Levels are decimal numbers in any order and 0 where they are missing;
        there is a key for what is nowhere above the chip's own.
        """
        encoded = {
            k: "".join(f"%{b:02X}" for b in str(v).encode())
            for k, v in levels.items()
        }
        got = ask(simulated.url, at_tcb(simulated, "milan-1", **encoded))

        assert status == got.status

    def test_levels_read(self, simulated):
        """
        The certificate is for what was asked for, not for what the chip has.
        """
        path = at_tcb(simulated, "turin-1", bl=1, snp=3, ucode=80)
        key = EndorsementKey.from_der(ask(simulated.url, path).body)

        assert "5000000003000100" == key.tcb.tcbm

    def test_current(self, simulated):
        """
        What counts is the current TCB, not the reported one.
        """
        levels = {"bl": 3, "snp": 22, "ucode": 213}
        path = at_tcb(simulated, "milan-2", **levels)

        assert 200 == ask(simulated.url, path).status

    def test_given(self):
        """
        A chip that says for which TCBs it has keys has no others.
        """
        world = default_world()
        chip = msgspec.structs.replace(
            world.chips[0], tcbs=[SplPart(snp=1), world.chips[0].tcb]
        )
        world = msgspec.structs.replace(world, chips=[chip])
        with playing(world) as simulated:
            statuses = [
                ask(simulated.url, at_tcb(simulated, "milan-1", **x)).status
                for x in ({"snp": 1}, {"snp": 2}, {})
            ]

        assert [200, 404, 404] == statuses

    def test_case(self, simulated):
        """
        A hardware ID may be in upper case.
        """
        chip = simulated.chip("turin-1")
        hw_id = chip.hw_id.hex()

        got = ask(simulated.url, chip.path.replace(hw_id, hw_id.upper()))
        assert chip.vcek == got.body

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/vcek/v1/Milan/" + "00" * 64, 404),
            ("/vcek/v1/Turin/" + "00" * 8, 404),
            ("/vcek/v1/Turin/" + "00" * 64, 400),
            ("/vcek/v1/Milan/" + "00" * 63, 400),
            ("/vcek/v1/Milan/" + "0g" * 64, 400),
            ("/vcek/v1/Milan/", 404),
            ("/vcek/v1/Siena/cert_chain", 404),
            ("/vcek/v1/milan/cert_chain", 404),
            ("/vcek/v2/Milan/cert_chain", 404),
            ("/vlek/v1/Milan/certs", 404),
            ("/vcek/v1/Milan/crl/x", 404),
        ],
    )
    def test_unknown(self, simulated, path, status):
        """
        A chip that is not in the world is not found; a hardware ID of another
        length than the product's is refused.
        """
        assert status == ask(simulated.url, path).status

    def test_other_product(self, simulated):
        """
        A chip is known under its own product line only.
        """
        path = simulated.chip("milan-1").path.replace("Milan", "Genoa")

        assert 404 == ask(simulated.url, path).status

    def test_method(self, simulated):
        """
        There is only GET.
        """
        got = ask(simulated.url, file_path("crl"), method="POST")

        assert 405 == got.status


class TestVlek:
    def test_holds(self, simulated):
        """
        A provider that shows its secret gets the VLEK of a TCB.
        """
        found = fetch(simulated, VLEK, SECRET)
        found.verify(simulated)
        chip = simulated.chip("milan-2")

        assert "cc-north-1.thim.example" == found.key.csp_id == chip.csp_id
        assert chip.vlek == found.key.der
        assert chip.vlek_chain == found.chain.to_pem()

    @pytest.mark.parametrize("headers", [{}, {"CSP-Secret": "guessed"}])
    def test_stranger(self, simulated, headers):
        """
        Nobody else does.
        """
        assert 401 == ask(simulated.url, VLEK, headers=headers).status

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            (VLEK.replace("Milan", "Genoa"), 404),
            (VLEK.replace("bl=3", "bl=4").replace("blSPL=3", "blSPL=4"), 404),
            (VLEK.replace("blSPL=3", "blSPL=x"), 400),
        ],
    )
    def test_unknown(self, simulated, path, status):
        """
        There is one where a chip of the provider's has reached the TCB.
        """
        assert status == ask(simulated.url, path, headers=SECRET).status

    def test_year(self, simulated):
        """
        It lives for a year, and is issued anew before that is over.
        """
        for _ in range(5):
            found = fetch(simulated, VLEK, SECRET)
            found.verify(simulated)
            life = found.key.not_after - found.key.not_before
            assert life in {365 * DAY, 366 * DAY}
            simulated.clock.advance(100 * DAY)


class TestFiles:
    @pytest.mark.parametrize("product", ProductLine)
    @pytest.mark.parametrize("kind", ["vcek", "vlek"])
    def test_chain(self, simulated, product, kind):
        """
        A chain is two blocks in PEM and nothing else.
        """
        got = ask(simulated.url, file_path("cert_chain", product, kind))
        chain = CaChain.from_pem(got.body)

        assert "application/x-pem-file" == got["content-type"]
        assert (product, kind) == (chain.product, chain.kind.value.lower())

    def test_crl(self, simulated):
        """
        A revocation list is issued every thirty days and lives for a year;
        both addresses have the same one.
        """
        got = ask(simulated.url, file_path("crl"))
        crl = Crl.from_der(got.body)
        other = ask(simulated.url, file_path("crl", kind="vlek"))
        simulated.clock.advance(30 * DAY)
        later = Crl.from_der(ask(simulated.url, file_path("crl")).body)

        assert "application/pkix-crl" == got["content-type"]
        assert got.body == other.body
        assert crl.this_update <= NOW < crl.this_update + 30 * DAY
        assert 365 * DAY == crl.next_update - crl.this_update
        assert 30 * DAY == later.this_update - crl.this_update

    def test_types(self, simulated):
        """
        Certificates of chips are DER and say so.
        """
        got = ask(simulated.url, simulated.chip("genoa-1").path)

        assert "application/pkix-cert" == got["content-type"]


class TestFirstAsk:
    def test_before(self):
        """
        The first ASK of Genoa signs until the second begins.
        """
        with playing(at=BEFORE) as simulated:
            found = fetch(simulated, simulated.chip("genoa-1").path)
            found.verify(simulated)

        assert 0x20001 == found.chain.intermediate.serial_number
        assert frozenset() == found.crl.revoked

    def test_after(self):
        """
        Then the second signs everything anew, with the keys of the chips as
        they were, and the first is revoked.
        """
        with playing(at=BEFORE) as simulated:
            path = simulated.chip("genoa-1").path
            before = fetch(simulated, path)
            simulated.clock.move_to(AFTER)
            after = fetch(simulated, path)
            after.verify(simulated)

        assert 0x20002 == after.chain.intermediate.serial_number
        assert frozenset({0x20001}) == after.crl.revoked
        assert before.key.spki == after.key.spki
        assert before.key.not_before < after.key.not_before
        assert before.crl.this_update < after.crl.this_update


class TestRecords:
    def test_recorded(self, simulated):
        """
        Each request is recorded with the product line and the chip.
        """
        chip = simulated.chip("bergamo-1")
        paths = [
            chip.path,
            file_path("crl", ProductLine.TURIN),
            file_path("cert_chain"),
            VLEK,
            "/vcek/v1/Milan/00",
        ]
        for path in paths:
            ask(simulated.url, path, headers=SECRET if path == VLEK else {})

        assert [
            ("vcek", "Genoa", "bergamo-1", False),
            ("amd-crl", "Turin", None, False),
            ("amd-chain", "Milan", None, False),
            ("vlek", "Milan", None, True),
            ("vcek", "Milan", None, False),
        ] == [
            (r.route, r.product, r.chip, r.has_key) for r in simulated.requests
        ]
        first = next(iter(simulated.requests))
        assert chip.path == f"{first.path}?{first.query}"


class TestWorlds:
    def test_intel(self, simulated):
        """
        Intel answers on the same port, and neither answers for the other.
        """
        paths = ["/IntelSGXRootCA.der", "/vcek/v1/tcb", "/x" + file_path("crl")]

        assert [200, 404, 404] == [
            ask(simulated.url, path).status for path in paths
        ]
        assert ["rootcacrl", "other", "other"] == [
            r.route for r in simulated.requests
        ]

    def test_without(self):
        """
        A world without AMD has no such service, and no anchors of AMD's.
        """
        with playing(World.from_toml(NUMBERS)) as simulated:
            status = ask(simulated.url, file_path("crl")).status
            roots = simulated.roots

            assert simulated.intel.anchors == simulated.anchors
        assert 404 == status
        assert 1 == roots.count(b"BEGIN")

    def test_replaced(self, simulated):
        """
        The world may be replaced while it is played.
        """
        simulated.intel.world = world_with(lifetime="60d")
        crl = Crl.from_der(ask(simulated.url, file_path("crl")).body)

        assert 60 * DAY == crl.next_update - crl.this_update
