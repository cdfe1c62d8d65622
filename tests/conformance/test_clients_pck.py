"""
PCK certificates for each client, over TLS: every request that it makes, byte
for byte, and every rule by which it reads the answer.
"""

import functools

import pytest

from cryptography.hazmat.primitives.serialization import Encoding

from tests.conformance.replay import LOCAL, libcurl
from tests.conformance.replay_checks import (
    faults_in_chain,
    verify_leaf,
    without_own,
)
from tests.conformance.replay_machines import (
    CLIENT_ID,
    COFFEE_LAKE,
    ICE_LAKE,
    MACHINES,
    STRANGER,
    azure_primary,
    azure_query,
    azure_secondary,
    json_requests,
    pem_requests,
    qcnl_query,
)
from thim.intel.pck import PckCertificate


JSON = {
    f"{name}-{machine.name}": (machine, request)
    for machine in MACHINES
    for name, request in json_requests(machine)
}
PEM = {
    f"{name}-{machine.name}": (machine, request)
    for machine in MACHINES
    for name, request in pem_requests(machine)
}
CHAIN = "sgx-Pck-Certificate-Issuer-Chain"

in_json = pytest.mark.parametrize("name", JSON)
in_pem = pytest.mark.parametrize("name", PEM)
each = pytest.mark.parametrize("name", [*JSON, *PEM])


@pytest.fixture(scope="module")
def certified(knowing):
    """
    What the service answers, asked once.
    """
    requests = {**JSON, **PEM}
    return functools.cache(lambda name: knowing.ask(requests[name][1]))


@pytest.fixture(scope="module")
def certificates(vendor, knowing):
    """
    The vendor's certificate of each machine.
    """
    return {
        machine.name: vendor.machine(machine.name)["pck_certificates"][0]
        for machine in MACHINES
    }


@each
class TestEachAnswer:
    def test_status(self, certified, name):
        """
        It is answered, by HTTP/1.1, with a certificate and nothing behind.
        """
        answer = certified(name)

        assert (b"HTTP/1.1 200 OK", b"") == (answer.start, answer.rest)

    def test_header(self, certified, name):
        """
        No name in the header comes twice, no value is empty, and there is a
        space behind each colon.
        """
        answer = certified(name)
        pairs = [line.partition(b": ") for line in answer.lines]

        assert [] == [pair for pair in pairs if not pair[2].strip()]
        assert len(pairs) == len({key.lower() for key, _, _ in pairs})

    def test_cache_control(self, certified, name):
        """
        It says for how long it may be kept, which is a day at most.
        """
        assert "max-age=86400" == certified(name)["cache-control"]

    def test_again(self, knowing, certified, name):
        """
        It is the same the next time.
        """
        first = certified(name)
        second = knowing.ask({**JSON, **PEM}[name][1])

        assert without_own(first) == without_own(second)
        assert first.body == second.body


@in_json
class TestJson:
    def test_members(self, certified, name):
        """
        It is an object that has all four members, spelt as Azure's client
        knows them, and each is a text.
        """
        answer = certified(name)

        assert "application/json" == answer["content-type"]
        assert {
            "pckCert": str,
            CHAIN: str,
            "sgx-Tcbm": str,
            "cacheMaxAge": str,
        } == {key: type(value) for key, value in answer.json.items()}
        assert "86400" == answer.json["cacheMaxAge"]

    def test_certificate(self, certified, certificates, name):
        """
        The certificate is the vendor's, as PEM that is not encoded further.
        """
        machine, _ = JSON[name]

        expected = certificates[machine.name]
        assert expected == certified(name).json["pckCert"]

    def test_chain(self, certified, name):
        """
        Its chain is percent-encoded, the PCK CA first and then the root.
        """
        assert [] == faults_in_chain(certified(name).json[CHAIN])

    def test_tcbm(self, certified, name):
        """
        The TCB is that of the certificate which Azure's own tests expect for
        the raw TCB of the machine.
        """
        machine, _ = JSON[name]

        assert machine.tcbm == certified(name).json["sgx-Tcbm"]

    def test_verifies(self, vendor, certified, name):
        """
        The certificate verifies by its chain and the vendor's root, and is
        for that TCB.
        """
        found = certified(name).json
        leaf = verify_leaf(vendor, found["pckCert"].encode(), found[CHAIN])

        read = PckCertificate.from_certificate(leaf)
        assert found["sgx-Tcbm"] == read.tcbm.to_bytes().hex().upper()


@in_pem
class TestPem:
    def test_certificate(self, certified, certificates, name):
        """
        The body is the vendor's certificate, as PEM.
        """
        machine, _ = PEM[name]
        answer = certified(name)

        assert certificates[machine.name].encode() == answer.body
        assert "application/x-pem-file" == answer["content-type"]

    def test_headers(self, certified, name):
        """
        The TCB, the FMSPC and the kind of CA are in headers.
        """
        machine, _ = PEM[name]
        answer = certified(name)

        assert machine.tcbm == answer["SGX-TCBm"]
        assert machine.fmspc == answer["SGX-FMSPC"]
        ca = answer["SGX-PCK-Certificate-CA-Type"]
        assert machine.ca == ca.lower()

    def test_chain(self, vendor, certified, name):
        """
        So is the chain, by which the certificate verifies.
        """
        answer = certified(name)

        assert [] == faults_in_chain(answer[CHAIN])
        leaf = verify_leaf(vendor, answer.body, answer[CHAIN])
        assert answer.body == leaf.public_bytes(Encoding.PEM)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.name)
def test_service_vm(knowing, certified, machine):
    """
    Azure's client as it is built for service machines has another base for
    its only request.
    """
    client_id = "clientid=production_service_vm"
    query = azure_query(machine).replace(CLIENT_ID, client_id)
    target = f"/tdx/certification/v4/pckcert?{query}"
    got = knowing.ask(libcurl(LOCAL, target, "Content-Type:application/json"))

    expected = certified(f"azure-v4-secondary-{machine.name}")
    assert (200, expected.body) == (got.status, got.body)


class TestOnDemand:
    def test_encrypted_ppid(self, on_demand):
        """
        A machine that nobody registered is registered by the encrypted PPID
        that Azure's client sends, and answered at once.
        """
        assert (200, COFFEE_LAKE.tcbm) == (
            on_demand.status,
            on_demand.json["sgx-Tcbm"],
        )

    def test_manifest(self, registered):
        """
        One that is known by its manifest is registered by Intel's tool.
        """
        assert (200, b"Operation successful.") == (
            registered.status,
            registered.body,
        )


@each
def test_offline(offline, certified, name):
    """
    A service that asks nobody gives the same, once it is there.
    """
    first, second = certified(name), offline.ask({**JSON, **PEM}[name][1])

    assert (first.start, first.body) == (second.start, second.body)
    assert without_own(first) == without_own(second)


def test_link_local(setup, knowing, certified):
    """
    Over plain HTTP, as guests have it at the link-local address, the answer
    of the host agent is the same.
    """
    query = azure_query(COFFEE_LAKE)
    with setup.serving(is_plain=True, fill="offline") as door:
        got = door.ask(azure_primary("v4", query))

    expected = certified("azure-v4-primary-coffee-lake")
    assert without_own(expected) == without_own(got)
    assert expected.body == got.body


class TestUnknown:
    """A machine that nobody knows."""

    @pytest.mark.parametrize("name", dict(json_requests(STRANGER)))
    @pytest.mark.parametrize("where", ["knowing", "offline"])
    def test_json(self, request, where, name):
        """
        Azure's clients get a plain 404 without a body.
        """
        door = request.getfixturevalue(where)
        got = door.ask(dict(json_requests(STRANGER))[name])

        assert (404, b"", b"") == (got.status, got.body, got.rest)
        assert "0" == got["content-length"]

    @pytest.mark.parametrize("name", dict(pem_requests(STRANGER)))
    def test_lazy(self, knowing, name):
        """
        Where vendors are asked, PCCS's clients get a 404.
        """
        got = knowing.ask(dict(pem_requests(STRANGER))[name])

        assert 404 == got.status
        assert got.body.startswith(b"No cache data for this platform.")

    @pytest.mark.parametrize("name", dict(pem_requests(STRANGER)))
    def test_offline(self, offline, name):
        """
        Where they are not, those get PCCS's own status and sentence.
        """
        got = offline.ask(dict(pem_requests(STRANGER))[name])

        sentence = b"The platform was not found in the cache."
        assert 461 == got.status
        assert got.body.startswith(sentence)

    def test_low_tcb(self, knowing):
        """
        A TCB that no certificate of the machine reaches is a 404, too.
        """
        query = azure_query(ICE_LAKE).replace(ICE_LAKE.cpusvn, "0" * 32)
        got = knowing.ask(azure_secondary("v4", query))

        assert (404, b"") == (got.status, got.body)


class TestMalformed:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("qeid", "00fbe6733336eaf7a4e3d8b966a82e6"),
            ("qeid", "0xfbe6733336eaf7a4e3d8b966a82e64"),
            ("cpusvn", "04040204ff80"),
            ("pcesvn", "6"),
            ("pceid", ""),
            ("encrypted_ppid", "00"),
        ],
    )
    @pytest.mark.parametrize("how", [azure_primary, azure_secondary])
    def test_digits(self, knowing, how, name, value):
        """
        Digits that are none, or too few, are a 400.
        """
        pairs = azure_query(COFFEE_LAKE, "0" * 768).split("&")
        changed = [
            f"{name}={value}" if pair.startswith(f"{name}=") else pair
            for pair in pairs
        ]
        got = knowing.ask(how("v4", "&".join(changed)))

        assert 400 == got.status

    def test_no_metadata_header(self, knowing):
        """
        The link-local path is for those who send its header.
        """
        path = "/metadata/THIM/sgx/certification/v4/pckcert"
        request = libcurl(LOCAL, f"{path}?{qcnl_query(COFFEE_LAKE)}")

        assert 400 == knowing.ask(request).status
