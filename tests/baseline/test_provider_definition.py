import msgspec
import pytest

from hypothesis import given
from hypothesis import strategies as st

from thim.baseline.definition import read_tenant, write_tenant
from thim.baseline.model import ROOT, Tenant
from thim.baseline.provider import (
    AAD,
    SHARED,
    Compliance,
    ExpiredRule,
    Provider,
    TrustModel,
)
from thim.baseline.provider_definition import (
    ComplianceJson,
    ProviderJson,
    parse_grace,
    parse_issuer,
    read_compliance,
    read_provider,
)
from thim.errors import MalformedError, ParameterError
from thim.intel.tcb import TcbStatus


DIGESTS = st.binary(min_size=48, max_size=48)
STATUSES = st.frozensets(
    st.sampled_from(sorted(set(TcbStatus) - {TcbStatus.REVOKED}, key=str)),
    min_size=1,
)
WORDS = st.text(st.characters(codec="ascii"), min_size=1, max_size=50)
COMPLIANCE = st.one_of(
    st.builds(
        Compliance, status=st.just("azure-compliant-cvm"), measurement=DIGESTS
    ),
    st.builds(Compliance, status=st.just("ours"), id_key_digest=DIGESTS),
    st.builds(
        Compliance,
        status=st.just("uvm"),
        uvm_issuer=WORDS,
        uvm_feed=WORDS,
        uvm_svn=st.none() | st.integers(0, 10**18 - 1),
    ),
)
PROVIDERS = st.builds(
    Provider,
    trust=st.sampled_from(TrustModel),
    issuer=st.sampled_from([None, "https://attest.example.com"]),
    expired=st.sampled_from(ExpiredRule),
    crl_grace=st.timedeltas().map(lambda _: parse_grace("14d")),
    sgx_statuses=STATUSES,
    tdx_statuses=STATUSES,
    compliance=st.lists(COMPLIANCE, max_size=3).map(tuple),
)


def _read(*args):
    tenant = read_tenant(*args)
    assert tenant is not None
    return tenant


class TestReadTenant:
    @given(PROVIDERS)
    def test_back(self, provider):
        """
        What is written of a provider is read as the same.
        """
        tenant = Tenant(name="acme", baseline="default", provider=provider)

        assert tenant == read_tenant("acme", 0, write_tenant(tenant))

    def test_root(self):
        """
        Everybody who names no tenant has the shared provider, unless its
        definition says otherwise.
        """
        read = _read("root", 1, '{"baseline": "default"}')

        assert SHARED == ROOT.provider
        assert SHARED == read.provider

    def test_usual(self):
        """
        A tenant of whose attestation nothing is said has the usual one.
        """
        read = _read("acme", 1, '{"baseline": "default"}')

        assert AAD == read.provider

    def test_unknown(self):
        """
        A member that there is not is an error that names it.
        """
        body = '{"baseline": "default", "attestation": {"trusted": true}}'

        with pytest.raises(MalformedError, match="trusted"):
            read_tenant("acme", 1, body)


class TestParseIssuer:
    @pytest.mark.parametrize(
        "text",
        [
            "https://attest.example.com",
            "https://attest.example.com:8443/tenant/acme",
            "http://127.0.0.1:8080",
            "http://localhost:8080",
        ],
    )
    def test_good(self, text):
        """
        An issuer is an https URL, or one of this machine.
        """
        assert text == parse_issuer(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "attest.example.com",
            "http://attest.example.com",
            "https://attest.example.com/",
            "https://Attest.example.com",
            "https://user@attest.example.com",
            "https://attest.example.com?x=1",
            "https://attest.example.com?",
            "https://attest.example.com#",
            "https://[::1",
            "https://attest.example.com:port",
            "https://",
            "https://attest.example.com /x",
            "https://attest\u00e9.example.com",
            "ftp://attest.example.com",
        ],
    )
    def test_bad(self, text):
        """
        Whatever two readers could take for two URLs is no issuer.
        """
        with pytest.raises(ParameterError, match="expected a URL"):
            parse_issuer(text)


class TestParseGrace:
    @pytest.mark.parametrize("text", ["14", "-1d", "367d", "1h", ""])
    def test_bad(self, text):
        """
        A grace is a number of days, a year at most.
        """
        with pytest.raises(ParameterError, match="366d at most"):
            parse_grace(text)

    def test_none(self):
        """
        None at all can be said.
        """
        assert not parse_grace("0d")


class TestReadProvider:
    @pytest.mark.parametrize("statuses", [[], [TcbStatus.REVOKED]])
    @pytest.mark.parametrize("member", ["sgx_statuses", "tdx_statuses"])
    def test_statuses(self, member, statuses):
        """
        No provider takes revoked platforms, or none at all.
        """
        json = ProviderJson(**{member: statuses})

        with pytest.raises(ParameterError, match=f"attestation.{member}"):
            read_provider(json, AAD)


class TestReadCompliance:
    @pytest.mark.parametrize(
        "members",
        [
            {},
            {"measurement": "00" * 48, "id_key_digest": "00" * 48},
            {"uvm_issuer": "did:x509:0"},
            {"uvm_feed": "feed"},
            {"measurement": "00" * 48, "uvm_feed": "feed"},
            {"measurement": "00" * 48, "uvm_svn": 1},
            {"uvm_svn": 1},
            {"uvm_feed": "feed", "uvm_svn": 1},
        ],
    )
    def test_bad(self, members):
        """
        An entry says one thing, and that in full.
        """
        json = ComplianceJson(status="ours", **members)

        with pytest.raises(ParameterError, match="expected one of"):
            read_compliance(json)

    def test_status(self):
        """
        A status is a word: what is signed as one must not look like another.
        """
        raw = b'{"status": "Azure Compliant"}'

        with pytest.raises(msgspec.ValidationError, match="status"):
            msgspec.json.decode(raw, type=ComplianceJson)
