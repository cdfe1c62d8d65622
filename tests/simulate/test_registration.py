import pytest

from tests.simulate.asking import SGX, ask, send
from tests.simulate.machines import (
    REGISTRATION,
    by_manifest,
    by_ppid,
    certificates_of,
    playing,
    says_cached,
)


BINARY = "application/octet-stream"


@pytest.fixture
def multi():
    """
    A world in which one machine has several packages.
    """
    with playing(ice_1={"multi_package": True}) as running:
        yield running


def register(running, manifest, kind=BINARY):
    """
    Register directly.
    """
    return send(running.url, REGISTRATION, manifest, kind=kind)


class TestDirect:
    def test_registered(self, multi):
        """
        Registering answers 201 and the PPID, once more as well.
        """
        machine = multi.platform("ice-1")
        for _ in range(2):
            got = register(multi, machine.manifest)

            assert 201 == got.status
            assert machine.ppid.hex().upper().encode() == got.body

    def test_by_ppid(self, multi):
        """
        Afterwards the machine is known by its PPID, its keys are kept, and
        its certificates are others.
        """
        before = multi.platform("ice-1")
        register(multi, before.manifest)
        got = ask(multi.url, by_ppid(before))
        leaves = certificates_of(got)

        assert all(says_cached(leaf) for leaf in leaves)
        assert leaves == list(multi.platform("ice-1").pck_certificates)
        assert not {c.serial_number for c in before.pck_certificates} & {
            c.serial_number for c in leaves
        }
        assert (False, True) == (
            before.is_registered,
            multi.platform("ice-1").is_registered,
        )

    def test_by_manifest(self, multi):
        """
        Whoever then asks by manifest gets the same.
        """
        machine = multi.platform("ice-1")
        register(multi, machine.manifest)
        got = send(multi.url, f"{SGX}/pckcerts", by_manifest(machine))

        assert certificates_of(got) == certificates_of(
            ask(multi.url, by_ppid(machine))
        )

    def test_from_the_beginning(self):
        """
        A machine may be registered by its world.
        """
        fields = {"multi_package": True, "registered": True}
        with playing(ice_1=fields) as running:
            machine = running.platform("ice-1")
            got = ask(running.url, by_ppid(machine))
            again = register(running, machine.manifest)

        assert (200, 201) == (got.status, again.status)

    def test_in_a_quote(self, multi):
        """
        A quote has the certificate that goes with the registration.
        """
        machine = multi.platform("ice-1")
        before = multi.quote("ice-1", "sgx-v3")
        register(multi, machine.manifest)

        assert before != multi.quote("ice-1", "sgx-v3")


class TestRefused:
    def test_after_indirect(self, multi):
        """
        Whoever has come by manifest cannot register directly.
        """
        machine = multi.platform("ice-1")
        send(multi.url, f"{SGX}/pckcerts", by_manifest(machine))
        got = register(multi, machine.manifest)

        assert (400, "CachedKeysPolicyViolation") == (
            got.status,
            got["error-code"],
        )

    def test_policy(self):
        """
        Nor can one whose keys must not be kept.
        """
        fields = {"multi_package": True, "cached_keys": False}
        with playing(ice_1=fields) as running:
            got = register(running, running.platform("ice-1").manifest)

        assert "CachedKeysPolicyViolation" == got["error-code"]

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda manifest: b"", "InvalidRequestSyntax"),
            (lambda manifest: manifest[:-1], "InvalidRequestSyntax"),
            (lambda manifest: manifest * 8, "InvalidRequestSyntax"),
            (lambda manifest: b"x" + manifest, "InvalidPlatformManifest"),
            (lambda manifest: manifest + b"x", "PackageNotFound"),
        ],
    )
    def test_manifest(self, multi, change, code):
        """
        A manifest that cannot be used is refused with Intel's code.
        """
        got = register(multi, change(multi.platform("ice-1").manifest))

        assert (400, code) == (got.status, got["error-code"])

    @pytest.mark.parametrize("kind", ["application/json", None])
    def test_content_type(self, multi, kind):
        """
        A manifest is binary and says so.
        """
        got = register(multi, multi.platform("ice-1").manifest, kind)

        assert 415 == got.status

    def test_method(self, multi):
        """
        Only POST is answered.
        """
        got = ask(multi.url, REGISTRATION)

        assert (405, b"GET: only POST\n") == (got.status, got.body)
