import shutil
import tomllib

import kubernetes_validate
import pytest
import yaml

from tests.deploy.cases import AGENT, CASES, FOREIGN, NODES, agent, nodes
from tests.deploy.helm import (
    CHART,
    PROJECT,
    find,
    pod_of,
    refusal,
    render,
    render_text,
    run_helm,
)
from tests.deploy.restricted import containers_of, find_breaches
from tests.docs.pages import read_blocks
from tests.services.private_ca import make_files
from thim.cli.agent_settings import SETTINGS as AGENT_SETTINGS
from thim.cli.checks import check_settings
from thim.cli.config import load


NEWEST, OLDEST = "1.37", "1.27"
OTHERS = ("cert-manager.io/", "cilium.io/", "monitoring.coreos.com/")
WORKLOADS = {"DaemonSet", "Deployment", "Job", "StatefulSet"}
#: What the agent needs beyond the restricted profile, whatever it is told:
#: the node's address, a folder on the node, and root, which alone has
#: capabilities that are added.
AGENTS = {
    "capabilities added",
    "host namespaces",
    "host path volumes",
    "host ports",
    "running as non-root",
    "running as non-root user",
    "volume types",
}
#: And with devices: privileged.
PRIVILEGED = AGENTS - {"capabilities added"} | {
    "capabilities dropped",
    "privilege escalation",
    "privileged containers",
}


def pods(objects):
    """
    Return the pods that workloads make, by their kind.
    """
    return [
        (each["kind"], pod_of(each))
        for each in objects
        if each["kind"] in WORKLOADS
    ]


class TestValid:
    @pytest.mark.parametrize("case", CASES)
    def test_newest(self, case):
        """
        Whatever is asked for is valid to the newest Kubernetes, with no field
        that it does not know, and all but the agent fits the restricted
        profile.
        """
        objects = render(CASES[case], NEWEST)
        for each in objects:
            kubernetes_validate.validate(each, NEWEST, strict=True)
        for kind, pod in pods(objects):
            if kind != "DaemonSet":
                assert set() == find_breaches(pod)

    @pytest.mark.parametrize("case", ["single-tls", "nodes-issuer", "agent"])
    def test_oldest(self, case):
        """
        So it is to the oldest that the chart may be installed on.
        """
        for each in render(CASES[case], OLDEST):
            kubernetes_validate.validate(each, OLDEST, strict=True)

    def test_older(self):
        """
        Kubernetes that is older is refused.
        """
        done = run_helm("template", CHART, "--kube-version=1.26")
        assert "chart requires kubeVersion: >=1.27.0-0" in done.stderr

    @pytest.mark.parametrize("case", FOREIGN)
    def test_foreign(self, case):
        """
        Objects of others' kinds stand beside valid ones.
        """
        for each in render(FOREIGN[case]):
            if not each["apiVersion"].startswith(OTHERS):
                kubernetes_validate.validate(each, NEWEST, strict=True)

    @pytest.mark.parametrize("values", [{}, NODES, AGENT])
    def test_lint(self, values):
        """
        Helm's own check finds nothing.
        """
        done = run_helm("lint", "--strict", CHART, values=values)
        assert 0 == done.returncode, done.stdout

    def test_version(self):
        """
        Chart and image are released with the program.
        """
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
        version = project["project"]["version"]
        text = (CHART / "Chart.yaml").read_text()
        assert f"\nversion: {version}\n" in text
        assert f"\nappVersion: {version}\n" in text


class TestDocumented:
    def test_values(self):
        """
        The chart takes the values in docs/kubernetes.md, each by themselves.
        """
        page = PROJECT / "docs" / "kubernetes.md"
        values = [
            yaml.safe_load(block.text)
            for block in read_blocks(page)
            if block.language == "yaml"
        ]

        assert 4 == len(values)
        assert all(render(each) for each in values)


class TestRefused:
    @pytest.mark.parametrize(
        ("values", "why"),
        [
            ({"replicas": 3}, "replicas: got 3, expected 1 with mode single"),
            ({"replica": {}, "repicas": 3}, "'repicas' not allowed"),
            ({"mode": "many"}, "at '/mode'"),
            ({"image": {"tag": "latest"}}, "at '/image/tag'"),
            ({"mode": "none"}, "mode: got none and no agent"),
            (nodes(postgresql={}), "postgresql.host: got none"),
            (nodes(sealingKey={}), "sealingKey.existingSecret: got none"),
            (
                nodes(postgresql={"host": "a", "password": "b"}),
                "'password' not allowed",
            ),
            (
                nodes(postgresql={"host": "u:p@a"}),
                "at '/postgresql/host'",
            ),
            (
                nodes(postgresql={"host": "a"}),
                "postgresql.passwordSecret.name: got none",
            ),
            (
                nodes(
                    postgresql={"host": "a", "passwordSecret": {"name": "b"}}
                ),
                "postgresql.caSecret.name: got none, expected the CA",
            ),
            (
                {"config": {"listen": "0.0.0.0:80"}},
                "config.listen: expected no such key",
            ),
            (
                {"config": {"tls_ca_key": "/a"}},
                "config.tls_ca_key: expected no such key",
            ),
            (
                {"tls": {"certManager": {"enabled": True}}},
                "tls.certManager.issuerRef.name: got none",
            ),
            (
                {
                    "tls": {
                        "existingSecret": "a",
                        "certManager": {"enabled": True},
                    }
                },
                "tls: got existingSecret and certManager",
            ),
            (agent(service=""), "agent.service: got none"),
            (agent(service="http://thim"), "agent.enrolment.how: expected"),
            ({"agent": {"enabled": True}}, "agent.enrolment.how: expected"),
            (agent(devices="none"), "agent.config.chip: got none"),
            (
                agent(enrolment={"how": "secret"}),
                "agent.enrolment.secret.name: got none",
            ),
            (
                agent(config={"state": "/a"}),
                "agent.config.state: expected no such key",
            ),
        ],
    )
    def test_why(self, values, why):
        """
        What cannot work is refused, and the value is named.
        """
        assert why in refusal(values)

    def test_rules(self):
        """
        Prometheus's rules are refused where the chart was packed without
        them.
        """
        if (CHART / "files" / "alerts.yaml").exists():
            assert "PrometheusRule" in render_text(
                {"prometheusRule": {"enabled": True}}
            )
        else:
            said = refusal({"prometheusRule": {"enabled": True}})
            assert "was packed without files/alerts.yaml" in said


class TestConfiguration:
    @pytest.fixture
    def check(self, tmp_path, monkeypatch):
        """
        Judge the configuration that values give, as `thim config check` does;
        return the settings.
        """
        files = make_files(tmp_path)
        for folder in ("tls", "api-server"):
            (tmp_path / folder).mkdir()
        files.cert.rename(tmp_path / "tls" / "tls.crt")
        files.key.rename(tmp_path / "tls" / "tls.key")
        files.ca_cert.rename(tmp_path / "api-server" / "ca.crt")
        path = tmp_path / "thim.toml"

        def check(values, name="thim"):
            objects = render(values)
            text = find(objects, "ConfigMap", name)["data"]["thim.toml"]
            text = text.replace("/run/secrets/thim", str(tmp_path))
            path.write_text(text)
            found = load({}, {}, path)
            check_settings(found)
            return {name: value.value for name, value in found.items()}

        return check

    @pytest.mark.parametrize(
        "case", [case for case in CASES if not case.startswith("agent")]
    )
    def test_usable(self, check, case):
        """
        The service can use it.
        """
        assert "/var/lib/thim/thim.db" == str(check(CASES[case])["store"])

    def test_values(self, check):
        """
        Numbers, booleans, lists and tables arrive as they were meant.
        """
        found = check(CASES["single-settings"])
        assert (4, 67108864) == (found["workers"], found["memo_bytes"])
        assert found["access_log"] is True
        assert {"imds.example"} == found["metadata_hosts"]
        assert 2 == len(found["intel_upstreams"])

    def test_issuer(self, check):
        """
        The agents of the named service account may enrol, and no more.
        """
        openid = check(CASES["nodes-issuer"])["openid"]
        ((subject, role),) = openid.roles
        assert "system:serviceaccount:edge:thim-agent" == subject
        assert "enrolment" == role.value

    def test_migration(self, check):
        """
        The migration needs neither certificate nor issuer, which are not
        there before the first install.
        """
        found = check(CASES["nodes-issuer"], "thim-migrate")
        assert (None, None) == (found["tls_cert"], found["openid"])
        assert found["key_file"] is not None

    @pytest.mark.parametrize("case", ["agent", "agent-declared", "both"])
    def test_agent(self, case):
        """
        The agent knows all of its settings.
        """
        found = find(render(CASES[case]), "ConfigMap", "thim-agent")
        table = tomllib.loads(found["data"]["thim.toml"])["agent"]
        assert table.keys() <= AGENT_SETTINGS.keys()
        assert str(table["service"]).startswith("https://thim.")

    def test_ledger(self):
        """
        The ledger is named without its password, which is in a variable of
        its own.
        """
        objects = render(NODES)
        text = find(objects, "ConfigMap")["data"]["thim.toml"]
        ledger = tomllib.loads(text)["ledger"]
        assert (
            "postgresql://thim@postgresql.example:5432/thim?sslmode="
            "verify-full&sslrootcert=/run/secrets/thim/postgresql/ca.crt"
        ) == ledger
        pod = pod_of(find(objects, "Deployment"))
        (container,) = pod["spec"]["containers"]
        secret = {"name": "thim-postgresql", "key": "password"}
        assert {
            "name": "PGPASSWORD",
            "valueFrom": {"secretKeyRef": secret},
        } in container["env"]

    def test_change(self):
        """
        Another configuration makes other pods.
        """
        sums = {
            pod_of(find(render({"config": config}), "StatefulSet"))["metadata"][
                "annotations"
            ]["checksum/config"]
            for config in ({}, {"workers": 2})
        }
        assert 2 == len(sums)


class TestNodes:
    def test_never_fewer(self):
        """
        A roll-out takes no node away before the next one is ready.
        """
        spec = find(render(NODES), "Deployment")["spec"]
        assert {"maxSurge": 1, "maxUnavailable": 0} == spec["strategy"][
            "rollingUpdate"
        ]

    def test_spread(self):
        """
        Nodes are on different machines and in different zones.
        """
        spec = pod_of(find(render(NODES), "Deployment"))["spec"]
        keys = [
            each["topologyKey"] for each in spec["topologySpreadConstraints"]
        ]
        assert ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] == keys

    def test_budget(self):
        """
        A drain takes one at a time; a lone node holds up no drain.
        """
        budget = find(render(NODES), "PodDisruptionBudget")["spec"]
        assert 1 == budget["maxUnavailable"]
        kinds = [each["kind"] for each in render(nodes(replicas=1))]
        assert "PodDisruptionBudget" not in kinds

    def test_probes(self):
        """
        Each probe asks its own path, with TLS where there is TLS.
        """
        pod = pod_of(find(render(NODES), "Deployment"))
        (container,) = pod["spec"]["containers"]
        for name in ("startup", "liveness", "readiness"):
            asked = container[f"{name}Probe"]["httpGet"]
            path = {"liveness": "live", "readiness": "ready"}.get(name, name)
            assert (f"/health/{path}", "HTTPS") == (
                asked["path"],
                asked["scheme"],
            )

    def test_migration_first(self):
        """
        The schema is brought up to date before the new nodes come, and
        whatever the hook needs is a hook too.
        """
        objects = render(NODES)
        hooks = {
            (each["kind"], each["metadata"]["name"])
            for each in objects
            if "helm.sh/hook" in each["metadata"].get("annotations", {})
        }
        assert {
            ("ConfigMap", "thim-migrate"),
            ("Job", "thim-migrate"),
            ("NetworkPolicy", "thim-migrate"),
        } == hooks
        pod = pod_of(find(objects, "Job", "thim-migrate"))
        (container,) = pod["spec"]["containers"]
        assert ["db", "migrate"] == container["args"]


class TestSingle:
    def test_order(self):
        """
        The store is made, then brought up to date, then served.
        """
        spec = pod_of(find(render({}), "StatefulSet"))["spec"]
        assert [
            ["db", "init", "--if-missing"],
            ["db", "migrate"],
            ["serve"],
        ] == [each["args"] for each in containers_of(spec)]

    def test_one(self):
        """
        It is one, with a claim of its own.
        """
        spec = find(render({}), "StatefulSet")["spec"]
        assert 1 == spec["replicas"]
        (claim,) = spec["volumeClaimTemplates"]
        assert ["ReadWriteOnce"] == claim["spec"]["accessModes"]


class TestNetwork:
    def test_ingress(self):
        """
        Everybody may ask the main port; the administration's is for named
        peers, and for nobody where none is named.
        """
        policy = find(render(NODES), "NetworkPolicy")["spec"]
        main, admin = policy["ingress"]
        assert ("main", "admin") == (
            main["ports"][0]["port"],
            admin["ports"][0]["port"],
        )
        assert "from" not in main
        assert admin["from"]
        closed = find(render(CASES["nodes-peers"]), "NetworkPolicy")["spec"]
        (only,) = closed["ingress"]
        assert "main" == only["ports"][0]["port"]

    def test_egress(self):
        """
        Out go questions to the DNS, to PostgreSQL and to the vendors, and to
        no private address but those that are named.
        """
        policy = find(render(NODES), "NetworkPolicy")["spec"]
        ports = [rule["ports"][0]["port"] for rule in policy["egress"]]
        assert [53, 5432, 443] == ports
        blocks = [peer["ipBlock"] for peer in policy["egress"][2]["to"]]
        assert ["0.0.0.0/0", "::/0"] == [block["cidr"] for block in blocks]
        assert "169.254.0.0/16" in blocks[0]["except"]
        assert ["fc00::/7", "fe80::/10"] == blocks[1]["except"]

    def test_offline(self):
        """
        A service that asks nobody may ask nobody.
        """
        policy = find(render(CASES["single-offline"]), "NetworkPolicy")
        assert 1 == len(policy["spec"]["egress"])

    def test_names(self):
        """
        Cilium lets out what goes to the vendors' hosts, and nothing else.
        """
        objects = render(FOREIGN["cilium"])
        policy = find(objects, "NetworkPolicy")["spec"]
        assert 1 == len(policy["egress"])
        names = find(objects, "CiliumNetworkPolicy", "thim-vendors")["spec"]
        assert [
            "api.trustedservices.intel.com",
            "certificates.trustedservices.intel.com",
            "kdsintf.amd.com",
        ] == [each["matchName"] for each in names["egress"][1]["toFQDNs"]]


class TestAgent:
    @pytest.mark.parametrize(
        ("case", "expected"),
        [
            ("agent", PRIVILEGED),
            ("agent-declared", AGENTS),
            ("agent-resource", AGENTS),
        ],
    )
    def test_exceptions(self, case, expected):
        """
        What it needs beyond the restricted profile is this, and no more.
        """
        pod = pod_of(find(render(CASES[case]), "DaemonSet", "thim-agent"))
        assert expected == find_breaches(pod)

    def test_projected(self):
        """
        It enrols with its pod's token for thim, and can do nothing with the
        cluster's API.
        """
        spec = pod_of(find(render(AGENT), "DaemonSet", "thim-agent"))["spec"]
        (volume,) = [
            each for each in spec["volumes"] if each["name"] == "enrol"
        ]
        (source,) = volume["projected"]["sources"]
        assert "thim" == source["serviceAccountToken"]["audience"]
        assert 0o400 == volume["projected"]["defaultMode"]
        assert spec["automountServiceAccountToken"] is False

    def test_secret(self):
        """
        Or with a token from a secret.
        """
        objects = render(CASES["agent-secret"])
        spec = pod_of(find(objects, "DaemonSet", "thim-agent"))["spec"]
        (volume,) = [
            each for each in spec["volumes"] if each["name"] == "enrol"
        ]
        assert "thim-enrol" == volume["secret"]["secretName"]


class TestOthers:
    def test_certificate(self):
        """
        cert-manager's certificate is for the names of both services, and is
        what the pods mount.
        """
        objects = render(FOREIGN["cert-manager"])
        spec = find(objects, "Certificate")["spec"]
        assert "thim.thim.svc" in spec["dnsNames"]
        assert "thim-admin.thim.svc" in spec["dnsNames"]
        volumes = pod_of(find(objects, "StatefulSet"))["spec"]["volumes"]
        assert spec["secretName"] in [
            each.get("secret", {}).get("secretName") for each in volumes
        ]

    def test_monitor(self):
        """
        Prometheus finds the administration's service.
        """
        objects = render(FOREIGN["monitor"])
        monitor = find(objects, "ServiceMonitor")["spec"]
        labels = find(objects, "Service", "thim-admin")["metadata"]["labels"]
        assert monitor["selector"]["matchLabels"].items() <= labels.items()
        (endpoint,) = monitor["endpoints"]
        assert ("admin", "/metrics", "https") == (
            endpoint["port"],
            endpoint["path"],
            endpoint["scheme"],
        )

    def test_rules(self, tmp_path):
        """
        The rules that the chart was packed with become Prometheus's, as they
        are.
        """
        chart = shutil.copytree(CHART, tmp_path / "thim")
        (chart / "files").mkdir(exist_ok=True)
        rule = '{alert: A, expr: up == 0, labels: {at: "{{ $labels.job }}"}}'
        (chart / "files" / "alerts.yaml").write_text(
            f"groups: [{{name: thim, rules: [{rule}]}}]"
        )
        objects = render({"prometheusRule": {"enabled": True}}, chart=chart)
        (group,) = find(objects, "PrometheusRule")["spec"]["groups"]
        (alert,) = group["rules"]
        assert "{{ $labels.job }}" == alert["labels"]["at"]
