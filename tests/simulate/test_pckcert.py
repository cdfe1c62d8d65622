import pytest

from tests.simulate.asking import HOUR, NOW, SGX, ask, send
from tests.simulate.machines import (
    AZURE,
    HIGHEST,
    by_manifest,
    by_ppid,
    certificates_of,
    extension_of,
    judge_pck,
    playing,
)
from thim.intel.names import PckCa


@pytest.fixture
def ice(simulated):
    """
    A machine with two raw TCBs.
    """
    return simulated.platform("ice-1")


class TestOne:
    def test_certificate(self, simulated, get, ice):
        """
        The certificate holds under the chain beside it and the simulation's
        anchors.
        """
        got = get(by_ppid(ice, "pckcert", **HIGHEST))
        (leaf,) = certificates_of(got)

        judge_pck(simulated, got)
        assert leaf == ice.pck_certificates[0]
        assert ice.ppid in extension_of(leaf)

    @pytest.mark.parametrize(
        ("name", "fmspc", "ca"),
        [
            ("ice-1", "00606A000000", "platform"),
            ("coffee-1", "00906ED50000", "processor"),
        ],
    )
    def test_headers(self, simulated, get, name, fmspc, ca):
        """
        Headers say for what TCB, family and CA it is.
        """
        machine = simulated.platform(name)
        got = get(by_ppid(machine, "pckcert", **HIGHEST))

        assert machine.pck_tcbs[0].tcbm == got["sgx-tcbm"]
        assert (fmspc, ca) == (
            got["sgx-fmspc"],
            got["sgx-pck-certificate-ca-type"],
        )
        assert "application/x-pem-file" == got["content-type"]
        assert PckCa(ca) is machine.ca

    @pytest.mark.parametrize(
        ("cpusvn", "pcesvn", "tcbm"),
        [
            ("12120303FF01", "0D00", "12120303FF01"),
            ("11110303ff01", "0d00", "10100303FF01"),
            ("FF120303FF01", "FF00", "12120303FF01"),
            ("0F0F0303FF00", "0D00", "0E0E0303FF00"),
        ],
    )
    def test_highest_reached(self, get, ice, cpusvn, pcesvn, tcbm):
        """
        It is the one for the highest TCB at or beneath the given one, in
        digits of either case, the PCESVN with its low byte first.
        """
        raw = {"cpusvn": cpusvn.ljust(32, "0"), "pcesvn": pcesvn}
        got = get(by_ppid(ice, "pckcert", **raw))

        assert f"{tcbm:0<32}0D00" == got["sgx-tcbm"]

    @pytest.mark.parametrize(
        "raw",
        [
            {"cpusvn": "06090303FF" + "0" * 22, "pcesvn": "0D00"},
            {"cpusvn": "FF" * 16, "pcesvn": "0A00"},
        ],
    )
    def test_beneath_all(self, get, ice, raw):
        """
        There is none for a TCB beneath all of them.
        """
        assert 404 == get(by_ppid(ice, "pckcert", **raw)).status

    def test_new_level(self, simulated, get, ice):
        """
        Before a level is listed there is no certificate for it.
        """
        path = by_ppid(ice, "pckcert", **HIGHEST)
        simulated.clock.move_to(NOW.fromisoformat("2025-08-12T00:00:00Z"))
        new = get(path)["sgx-tcbm"]
        simulated.clock.advance(-HOUR)

        assert ("12120303FF01", "10100303FF01") == (
            new[:12],
            get(path)["sgx-tcbm"][:12],
        )

    def test_same_bytes(self, get, ice):
        """
        The same request gets the same bytes, from another simulation too.
        """
        path = by_ppid(ice, "pckcert", **HIGHEST)
        with playing() as other:
            assert get(path).body == ask(other.url, path).body == get(path).body

    @pytest.mark.parametrize(
        ("name", "raw", "tcbm"),
        [
            (
                "coffee-lake",
                {"cpusvn": "04040204FF80" + "0" * 20, "pcesvn": "0600"},
                "0404020401800000000000000000000005" + "00",
            ),
            (
                "ice-lake",
                {"cpusvn": "04040308FFFF" + "0" * 20, "pcesvn": "0A00"},
                "04040303FFFF000000000000000000000A" + "00",
            ),
        ],
    )
    def test_azure(self, name, raw, tcbm):
        """
        The machines of Azure's test suite get the certificates it expects.
        """
        with playing(AZURE) as running:
            machine = running.platform(name)
            if machine.manifest:
                body = by_manifest(machine, **raw)
                got = send(running.url, f"{SGX}/pckcert", body)
            else:
                got = ask(running.url, by_ppid(machine, "pckcert", **raw))

        assert tcbm == got["sgx-tcbm"]
        assert raw["cpusvn"] == machine.raw_tcbs[0].cpusvn.hex().upper()


class TestList:
    def test_certificates(self, simulated, get, ice):
        """
        There is one certificate for each level that a raw TCB reaches, the
        highest first, each with its TCB.
        """
        got = get(by_ppid(ice))
        leaves = certificates_of(got)

        assert list(ice.pck_certificates) == leaves
        assert 5 == len({leaf.serial_number for leaf in leaves})
        assert [tcb.tcbm for tcb in ice.pck_tcbs] == [
            line["tcbm"] for line in got.json
        ]
        judge_pck(simulated, got)

    def test_tcb(self, get, ice):
        """
        A TCB is spelled as 16 components and the PCESVN.
        """
        first = get(by_ppid(ice)).json[0]["tcb"]

        assert [18, 18, 3, 3, 255, 1, *[0] * 10, 13] == list(first.values())
        names = list(first)
        assert ("sgxtcbcomp01svn", "sgxtcbcomp16svn", "pcesvn") == (
            names[0],
            names[15],
            names[16],
        )

    def test_headers(self, get, ice):
        """
        Headers say for what family and CA they are, and no one TCB.
        """
        got = get(by_ppid(ice))

        assert ("00606A000000", "platform", "application/json") == (
            got["sgx-fmspc"],
            got["sgx-pck-certificate-ca-type"],
            got["content-type"],
        )
        assert "sgx-tcbm" not in got

    def test_not_available(self, simulated, get):
        """
        A level that no raw TCB reaches is listed without a certificate.
        """
        machine = simulated.platform("ice-2")
        got = get(by_ppid(machine))

        assert [False, False, False, True, True] == [
            line["cert"] != "Not available" for line in got.json
        ]
        assert [tcb.tcbm for tcb in machine.unavailable_tcbs] == [
            line["tcbm"] for line in got.json[:3]
        ]

    def test_given_tcbs(self):
        """
        A machine that says for which TCBs it has certificates has those,
        before the levels that it does not reach.
        """
        with playing(AZURE) as running:
            machine = running.platform("coffee-lake")
            got = ask(running.url, by_ppid(machine))

        assert ["040402040180000000000000000000000500"] == [
            line["tcbm"] for line in got.json
        ]

    @pytest.mark.parametrize(
        ("cpusvn", "count"), [("FF" * 16, 5), ("0E0E0303FF", 2)]
    )
    def test_config(self, get, ice, cpusvn, count):
        """
        Those of a configuration are those at or beneath its CPUSVN.
        """
        cpusvn = cpusvn.ljust(32, "0")
        got = get(by_ppid(ice, "pckcerts/config", cpusvn=cpusvn))

        assert count == len(got.json)

    def test_config_beneath_all(self, get, ice):
        """
        There are none of a configuration beneath all of them.
        """
        path = by_ppid(ice, "pckcerts/config", cpusvn="0" * 32)

        assert 404 == get(path).status
