"""
Collateral for each client, over TLS: every request that it makes, byte for
byte, and every rule by which it reads the answer.
"""

import re
import ssl

import pytest

from cryptography import x509

from tests.conformance.replay import GLOBAL, libcurl
from tests.conformance.replay_calls import (
    BARE,
    CALLS,
    COFFEE,
    NEWEST,
    SGX,
    TCB_CHAINS,
    pck_crl,
)
from tests.conformance.replay_checks import (
    CONTENT_TYPES,
    chain_in,
    decode,
    faults_in_chain,
    signed_for,
    verify,
    without_own,
)


every_call = pytest.mark.parametrize("name", CALLS)
#: QCNL's.
MOST = 65_534


@every_call
class TestEveryCall:
    def test_status(self, answer_to, name):
        """
        It is answered, by HTTP/1.1, with what it asks for and nothing behind.
        """
        answer = answer_to(name)

        assert (b"HTTP/1.1 200 OK", b"") == (answer.start, answer.rest)

    def test_header_lines(self, answer_to, name):
        """
        Each line of the header is a name, a colon, a space and a value, and
        no name comes twice.
        """
        answer = answer_to(name)
        line = re.compile(rb"[A-Za-z0-9-]+: [\x21-\x7e]([ -~]*[\x21-\x7e])?")

        assert [] == [s for s in answer.lines if not line.fullmatch(s)]
        assert len(answer.lines) == len({key for key, _ in answer.headers})

    def test_cache_control(self, answer_to, name):
        """
        It says for how long it may be kept, which is a day at most.
        """
        assert "max-age=86400" == answer_to(name)["cache-control"]

    def test_content_type(self, answer_to, name):
        """
        It is labelled as what it is, and is not compressed, even for those
        who would take it.
        """
        answer = answer_to(name)

        expected = CONTENT_TYPES[CALLS[name].form]
        assert expected == answer["content-type"]
        assert "content-encoding" not in answer
        assert "transfer-encoding" not in answer

    def test_chains(self, answer_to, name):
        """
        Its issuer chain is under the name or both names that clients know,
        once each, in the form that all of them can read.
        """
        answer = answer_to(name)
        found = [k for k, _ in answer.headers if k.endswith("-issuer-chain")]

        assert sorted(CALLS[name].chains) == sorted(found)
        (chain,) = {answer[k] for k in found}
        assert [] == faults_in_chain(chain)

    def test_root(self, answer_to, name):
        """
        The second certificate of its chain says where the root's CRL is,
        from which QPL takes that address.
        """
        _, root = chain_in(answer_to(name)[CALLS[name].chains[0]])

        points = root.extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        )
        (name,) = points.value[0].full_name
        assert name.value.endswith("/IntelSGXRootCA.der")

    def test_size(self, answer_to, name):
        """
        Chain and body together fit into QCNL's 16 bits.
        """
        answer = answer_to(name)
        chain = answer[CALLS[name].chains[0]]

        assert MOST > len(chain) + len(answer.body)

    def test_bytes(self, vendor, answer_to, name):
        """
        It is what the vendor signed, byte for byte.
        """
        call = CALLS[name]

        assert signed_for(vendor, call) == decode(call, answer_to(name))

    def test_verifies(self, vendor, answer_to, name):
        """
        It verifies by its own chain and the vendor's root.
        """
        call = CALLS[name]
        answer = answer_to(name)

        record = verify(vendor, call, answer)
        assert decode(call, answer) == record.body

    def test_again(self, lazy, answer_to, name):
        """
        It is the same the next time, when it is remembered.
        """
        first, second = answer_to(name), lazy.ask(CALLS[name].request)

        assert without_own(first) == without_own(second)
        assert (first.start, first.body) == (second.start, second.body)

    def test_offline(self, offline, answer_to, name):
        """
        A service that asks nobody gives the same, once it is there.
        """
        first, second = answer_to(name), offline.ask(CALLS[name].request)

        assert without_own(first) == without_own(second)
        assert (first.start, first.body) == (second.start, second.body)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
class TestTls:
    @pytest.mark.parametrize(
        "name", ["azure-v4-qve", "qcnl-v4-api-3.1-standard-qve"]
    )
    def test_versions(self, lazy, answer_to, version, name):
        """
        Azure's client and QCNL are answered over each version of TLS that
        they speak.
        """
        got = lazy.ask(CALLS[name].request, ssl.TLSVersion[version])

        assert answer_to(name).body == got.body


def test_alpn(lazy):
    """
    Clients that offer HTTP/2 are not taken at their word.
    """
    with lazy.connect("localhost") as channel:
        assert isinstance(channel, ssl.SSLSocket)
        assert channel.selected_alpn_protocol() in {None, "http/1.1"}


@pytest.mark.parametrize(
    "name", [n for n, c in CALLS.items() if c.chains == TCB_CHAINS]
)
def test_structure(answer_to, name):
    """
    A TCB info has the structure of its API version, where the archive has
    it, and says so where it has another.
    """
    answer, call = answer_to(name), CALLS[name]
    is_old = b" /sgx/certification/v2/" in call.request.raw
    is_old = is_old or b" /sgx/certification/v3/" in call.request.raw
    version = answer.json["tcbInfo"]["version"]

    is_there = call.vendor.startswith("structure-2/")
    assert (2 if is_there else 3) == version
    is_other = is_old and not is_there
    assert is_other == ("warning" in answer)


def test_structure_before_the_vendor(lazy):
    """
    That the archive has a TCB info of the older structure does not keep the
    newer one from those who ask on v4, as long as the vendor has it.
    """
    target = f"{SGX}/v4/tcb?fmspc={COFFEE}&update=early"
    got = lazy.ask(libcurl(GLOBAL, target))

    tcb_info = got.json["tcbInfo"]
    assert (NEWEST, 3) == (
        tcb_info["tcbEvaluationDataNumber"],
        tcb_info["version"],
    )


@pytest.fixture(scope="module")
def as_thim(setup, offline):
    """
    The service with the habits of Azure's.
    """
    with setup.serving(fill="offline", profile="thim") as door:
        yield door


class TestProfiles:
    """A CRL that is asked for without saying in which encoding."""

    @pytest.mark.parametrize("name", BARE)
    def test_thim(self, as_thim, vendor, name):
        """
        Azure gives DER, which is all that MigTD's tools know of it.
        """
        got = as_thim.ask(BARE[name])

        expected = vendor.get(pck_crl("platform")).body
        assert (200, expected) == (got.status, got.body)
        assert "application/pkix-crl" == got["content-type"]
        assert [] == faults_in_chain(got["sgx-pck-crl-issuer-chain"])

    @pytest.mark.parametrize("name", BARE)
    def test_pccs(self, lazy, vendor, name):
        """
        PCCS gives hexadecimal text.
        """
        got = lazy.ask(BARE[name])

        expected = vendor.get(pck_crl("platform")).body.hex().encode()
        assert (200, expected) == (got.status, got.body)
