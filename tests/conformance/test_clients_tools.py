"""
The tools around PCCS, over TLS: what Intel's PCK ID retrieval tool and
pccsadmin send, byte for byte, and what they look at in the answer.
"""

import hashlib
import json
import urllib.parse

import pytest

from tests.conformance.replay import LOCAL, libcurl, read_answer
from tests.conformance.replay_calls import (
    COFFEE,
    ICE,
    IN_FORCE,
    SAPPHIRE,
    SGX,
    TDX,
    identity,
    pck_crl,
    tcb,
)
from tests.conformance.replay_machines import (
    COFFEE_LAKE,
    ICE_LAKE,
    UNAVAILABLE,
    enclave_body,
    manifest_body,
    python_requests,
    retrieval_tool,
)
from tests.intel.policies import SGX as SGX_CLASS
from tests.intel.policies import sign


SUCCESS = (200, b"Operation successful.")
HTML = "text/html; charset=utf-8"
COLUMNS = {
    "qe_id",
    "pce_id",
    "cpu_svn",
    "pce_svn",
    "platform_manifest",
    "enc_ppid",
}


@pytest.fixture(scope="module")
def coffee_body(vendor, knowing):
    """
    What the retrieval tool sends of a machine of one package.
    """
    encrypted_ppid = vendor.machine(COFFEE_LAKE.name)["enc_ppid"]
    return enclave_body(COFFEE_LAKE, encrypted_ppid, "")


@pytest.fixture(scope="module")
def ice_body(vendor, knowing):
    """
    What it sends of one of several packages.
    """
    machine = vendor.machine(ICE_LAKE.name)
    return manifest_body(ICE_LAKE, machine["manifest"])


class TestRetrievalTool:
    @pytest.mark.parametrize("version", ["v3", "v4"])
    @pytest.mark.parametrize("update", ["", "?update=early", "?update=all"])
    def test_enclaves(self, knowing, tokens, coffee_body, version, update):
        """
        A machine is registered by what its enclaves said.
        """
        token = tokens["registrar"]
        got = knowing.ask(retrieval_tool(coffee_body, token, version, update))

        assert SUCCESS == (got.status, got.body)
        assert (b"", HTML) == (got.rest, got["content-type"])

    def test_manifest(self, knowing, tokens, ice_body):
        """
        One is registered by its manifest alone, again, too.
        """
        got = knowing.ask(retrieval_tool(ice_body, tokens["registrar"]))

        assert SUCCESS == (got.status, got.body)

    def test_both(self, knowing, vendor, tokens):
        """
        One of several packages is registered by what its enclaves said and
        its manifest.
        """
        machine = vendor.machine(ICE_LAKE.name)
        body = enclave_body(ICE_LAKE, machine["enc_ppid"], machine["manifest"])
        got = knowing.ask(retrieval_tool(body, tokens["registrar"]))

        assert SUCCESS == (got.status, got.body)

    def test_expects_to_continue(self, knowing, tokens, ice_body):
        """
        An older libcurl asks before it sends so much, and is told to go on.
        """
        request = retrieval_tool(ice_body, tokens["registrar"])
        head, _, body = request.raw.partition(b"\r\n\r\n")
        with knowing.connect(LOCAL) as channel:
            channel.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
            first = read_answer(channel)
            channel.sendall(body)
            second = read_answer(channel)

        assert b"HTTP/1.1 100 Continue" == first.start
        assert SUCCESS == (second.status, second.body)

    @pytest.mark.parametrize("role", ["admin", None])
    def test_token(self, knowing, tokens, coffee_body, role):
        """
        A wrong token, and an administrator's in the place of a user's, is a
        401 with PCCS's sentence.
        """
        token = tokens[role] if role else "wrong"
        got = knowing.ask(retrieval_tool(coffee_body, token))

        assert 401 == got.status
        assert got.body.startswith(b"Authentication failed.")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"pce_id"', '"pceid"'),
            ("0000", "00"),
            (" }", ""),
            ('"qe_id": "', '"qe_id": "zz'),
        ],
    )
    def test_malformed(self, knowing, tokens, coffee_body, old, new):
        """
        A body that cannot be used is a 400 with PCCS's sentence.
        """
        body = coffee_body.replace(old, new, 1)
        got = knowing.ask(retrieval_tool(body, tokens["registrar"]))

        assert 400 == got.status
        assert got.body.startswith(b"Invalid request parameters.")

    def test_update(self, knowing, tokens, coffee_body):
        """
        So is an unknown kind of update.
        """
        request = retrieval_tool(
            coffee_body, tokens["registrar"], update="?update=late"
        )

        assert 400 == knowing.ask(request).status


class TestGet:
    """``pccsadmin get``."""

    @pytest.fixture
    def get(self, knowing, tokens, coffee_body):
        """
        Run it with a source, where a machine is registered.
        """
        knowing.ask(retrieval_tool(coffee_body, tokens["registrar"]))

        def run(source=None):
            query = "" if source is None else f"?source={source}"
            target = f"platforms{query}"
            return knowing.ask(python_requests("GET", target, tokens["admin"]))

        return run

    def test_registered(self, get, knowing, tokens):
        """
        It gets each registration that is not done, once.
        """
        body = enclave_body(UNAVAILABLE, "AB" * 384, "")
        knowing.ask(retrieval_tool(body, tokens["registrar"]))
        found = [get("reg"), get("reg_na"), get("reg"), get("reg_na")]
        rows = [row for got in found for row in got.json]

        assert {200} == {got.status for got in found}
        assert [UNAVAILABLE.qe_id.upper()] == [row["qe_id"] for row in rows]
        assert COLUMNS == set(rows[0])
        assert [got["platform-count"] for got in found] == [
            str(len(got.json)) for got in found
        ]

    def test_default(self, get):
        """
        Without a source it asks for those, in JSON that is not compressed.
        """
        got = get()

        assert (200, list) == (got.status, type(got.json))
        assert got["content-type"].startswith("application/json")
        assert "content-encoding" not in got

    @pytest.mark.parametrize(
        "source", [f"[{COFFEE}]", f"[{COFFEE},{ICE}]", f"[{COFFEE},%20{ICE}]"]
    )
    def test_known(self, get, source):
        """
        It gets the machines that have a certificate, by FMSPC; of one of
        several packages not before it is written down who has asked.
        """
        got = get(source)
        found = {row["qe_id"] for row in got.json}

        assert (200, str(len(got.json))) == (got.status, got["platform-count"])
        assert {COFFEE_LAKE.qe_id.upper()} == found - {ICE_LAKE.qe_id.upper()}

    def test_none_known(self, get):
        """
        It gets none where there is none.
        """
        got = get("[FFFFFFFFFFFF]")

        assert (200, [], "0") == (got.status, got.json, got["platform-count"])

    def test_all_known(self, get):
        """
        It gets all of them.
        """
        got = get("[]")
        found = {row["qe_id"]: row for row in got.json}

        row = found[COFFEE_LAKE.qe_id.upper()]
        assert 200 == got.status
        assert COLUMNS == set(row)
        assert (COFFEE_LAKE.cpusvn.upper(), COFFEE_LAKE.pcesvn.upper()) == (
            row["cpu_svn"],
            row["pce_svn"],
        )

    def test_nonsense(self, get):
        """
        Another source is a 400.
        """
        assert 400 == get("nonsense").status

    @pytest.mark.parametrize("token", ["wrong", None])
    def test_token(self, knowing, tokens, token):
        """
        A wrong token, and a registrar's, is a 401.
        """
        token = token or tokens["registrar"]
        got = knowing.ask(python_requests("GET", "platforms", token))

        assert 401 == got.status
        assert got.body.startswith(b"Authentication failed.")


@pytest.fixture(scope="module")
def collateral(vendor):
    """
    The file that pccsadmin's ``fetch`` makes of what it gets of the vendor
    for a machine that nobody has registered.
    """
    machine = vendor.machine("sapphire")
    ppid, pce_id = machine["enc_ppid"], machine["pce_id"]
    query = f"encrypted_ppid={ppid}&pceid={pce_id}"
    certs = vendor.get(f"{SGX}/v4/pckcerts?{query}")
    of_sgx = vendor.get(tcb("v4", SAPPHIRE, IN_FORCE))
    of_tdx = vendor.get(tcb("v4", SAPPHIRE, IN_FORCE, TDX))
    of_qe = vendor.get(identity("qe", IN_FORCE))
    crls = {ca: vendor.get(pck_crl(ca)) for ca in ("processor", "platform")}
    named = {"qe_id": machine["qe_id"], "pce_id": pce_id}
    raw = machine["raw_tcbs"][0]
    return {
        "platforms": [
            {
                **named,
                "cpu_svn": raw["cpusvn"],
                "pce_svn": raw["pcesvn"].to_bytes(2, "little").hex().upper(),
                "enc_ppid": ppid,
                "platform_manifest": "",
            }
        ],
        "collaterals": {
            "version": 4,
            "pck_certs": [
                {
                    **named,
                    "enc_ppid": ppid,
                    "platform_manifest": "",
                    "certs": [
                        line
                        for line in certs.json
                        if line["cert"] != "Not available"
                    ],
                }
            ],
            "tcbinfos": [
                {
                    "fmspc": SAPPHIRE,
                    "sgx_tcbinfo": of_sgx.json,
                    "tdx_tcbinfo": of_tdx.json,
                }
            ],
            "pckcacrl": {
                f"{ca}Crl": got.body.hex() for ca, got in crls.items()
            },
            "qeidentity": of_qe.body.decode(),
            "tdqeidentity": vendor.get(
                identity("qe", IN_FORCE, TDX)
            ).body.decode(),
            "qveidentity": vendor.get(identity("qve", IN_FORCE)).body.decode(),
            "certificates": {
                "SGX-PCK-Certificate-Issuer-Chain": {
                    "PROCESSOR": crls["processor"]["sgx-pck-crl-issuer-chain"],
                    "PLATFORM": crls["platform"]["sgx-pck-crl-issuer-chain"],
                },
                "TCB-Info-Issuer-Chain": of_sgx["tcb-info-issuer-chain"],
                "SGX-Enclave-Identity-Issuer-Chain": of_qe[
                    "sgx-enclave-identity-issuer-chain"
                ],
            },
            "rootcacrl_cdp": "https://certificates.trustedservices.intel.com/"
            "IntelSGXRootCA.der",
            "rootcacrl": vendor.get("/IntelSGXRootCA.der").body.hex(),
        },
    }


def put(target, token, value):
    """
    ``pccsadmin put``: the file as Python writes it.
    """
    body = json.dumps(value).encode()
    return python_requests("PUT", target, token, body)


class TestPut:
    """``pccsadmin put``."""

    def test_collateral(self, knowing, vendor, tokens, collateral):
        """
        A machine comes with its certificates, which are served then.
        """
        request = put("platformcollateral", tokens["admin"], collateral)
        got = knowing.ask(request)

        assert SUCCESS == (got.status, got.body)
        (row,) = collateral["platforms"]
        query = (
            f"qeid={row['qe_id']}&encrypted_ppid={'0' * 768}&"
            f"cpusvn={row['cpu_svn']}&pcesvn={row['pce_svn']}&pceid=0000"
        )
        served = knowing.ask(libcurl(LOCAL, f"{SGX}/v4/pckcert?{query}"))
        expected = vendor.machine("sapphire")["pck_certificates"][0]
        assert (200, expected.encode()) == (served.status, served.body)

    def test_forged(self, knowing, tokens, collateral):
        """
        A document that the vendor did not sign is a 460 with PCCS's sentence.
        """
        text = json.dumps(collateral).replace("UpToDate", "Revoked", 1)
        forged = json.loads(text)
        got = knowing.ask(put("platformcollateral", tokens["admin"], forged))

        assert 460 == got.status
        sentence = b"The integrity of the data can't be verified."
        assert got.body.startswith(sentence)

    def test_malformed(self, knowing, tokens):
        """
        A file that has something else is a 400.
        """
        got = knowing.ask(put("platformcollateral", tokens["admin"], {}))

        assert 400 == got.status

    def test_too_large(self, knowing, tokens):
        """
        A file over the limit is a 413, which pccsadmin gets to see.
        """
        value = {"platforms": ["0" * (2 * 1024 * 1024)]}
        got = knowing.ask(put("platformcollateral", tokens["admin"], value))

        assert 413 == got.status
        assert got.body.startswith(b"Content too large.")

    def test_token(self, knowing, collateral):
        """
        A wrong token is a 401.
        """
        got = knowing.ask(put("platformcollateral", "wrong", collateral))

        assert 401 == got.status

    def test_policy(self, knowing, tokens):
        """
        A policy is answered by its ID, and QCNL gets it then.
        """
        policy = sign(SGX_CLASS)
        value = {"policy": policy, "is_default": True, "fmspc": SAPPHIRE}
        got = knowing.ask(put("appraisalpolicy", tokens["admin"], value))
        target = f"{SGX}/v4/appraisalpolicy?fmspc={SAPPHIRE}"
        served = knowing.ask(libcurl(LOCAL, target))

        expected = hashlib.sha384(policy.encode()).hexdigest().encode()
        assert (200, expected) == (got.status, got.body)
        assert (200, policy.encode()) == (served.status, served.body)
        assert HTML == served["content-type"]


class TestRefresh:
    """``pccsadmin refresh``."""

    @pytest.mark.parametrize(
        "fmspcs",
        [
            None,
            COFFEE,
            f"[{COFFEE}]",
            f"[{COFFEE},{ICE}]",
            f"[{COFFEE}, {ICE}]",
            f"{COFFEE},{ICE}",
        ],
    )
    def test_refresh(self, knowing, tokens, fmspcs):
        """
        All collateral is refreshed, or the certificates of some families, in
        every way in which these can be typed.
        """
        query = ""
        if fmspcs is not None:
            what = {"type": "certs", "fmspc": fmspcs}
            query = f"?{urllib.parse.urlencode(what)}"
        target = f"refresh{query}"
        got = knowing.ask(python_requests("POST", target, tokens["admin"]))

        assert SUCCESS == (got.status, got.body)

    def test_all(self, knowing, tokens):
        """
        The certificates of all machines are refreshed, also when one is
        registered for which the vendor has none: pccsadmin finds that one
        among those that are not available.
        """
        body = enclave_body(UNAVAILABLE, "AB" * 384, "")
        knowing.ask(retrieval_tool(body, tokens["registrar"]))
        target = "refresh?type=certs&fmspc="
        got = knowing.ask(python_requests("POST", target, tokens["admin"]))

        assert SUCCESS == (got.status, got.body)

    def test_get(self, knowing, tokens):
        """
        PCCS's own instructions do the same by a GET.
        """
        token = f"admin-token: {tokens['admin']}"
        got = knowing.ask(libcurl(LOCAL, f"{SGX}/v4/refresh", token))

        assert SUCCESS == (got.status, got.body)

    @pytest.mark.parametrize(
        "query", ["?type=all", "?type=certs", "?type=certs&fmspc=12"]
    )
    def test_malformed(self, knowing, tokens, query):
        """
        What cannot be refreshed is a 400.
        """
        target = f"refresh{query}"
        got = knowing.ask(python_requests("POST", target, tokens["admin"]))

        assert 400 == got.status

    def test_offline(self, offline, tokens):
        """
        Where nobody is asked, it is a 503.
        """
        got = offline.ask(python_requests("POST", "refresh", tokens["admin"]))

        assert 503 == got.status

    def test_token(self, knowing, tokens):
        """
        It is for administrators.
        """
        token = tokens["registrar"]
        got = knowing.ask(python_requests("POST", "refresh", token))

        assert 401 == got.status
