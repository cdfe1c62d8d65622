"""
Values for the chart: what an operator may want, one matter each.
"""

from __future__ import annotations

from typing import Any


SINGLE: dict[str, Any] = {}
NODES: dict[str, Any] = {
    "mode": "nodes",
    "replicas": 3,
    "tls": {"existingSecret": "thim-tls"},
    "sealingKey": {"existingSecret": "thim-key"},
    "postgresql": {
        "host": "postgresql.example",
        "passwordSecret": {"name": "thim-postgresql"},
        "caConfigMap": {"name": "thim-postgresql-ca"},
    },
}
AGENT: dict[str, Any] = {
    "mode": "none",
    "agent": {"enabled": True, "service": "https://thim.example:8443"},
}
_TLS = {"tls": {"existingSecret": "thim-tls"}}
_PEER = {"podSelector": {"matchLabels": {"app": "front"}}}
_ISSUER = {"name": "ca", "kind": "ClusterIssuer", "group": "cert-manager.io"}


def agent(**changes: Any) -> dict[str, Any]:
    """
    Return the agent's values, with some changed.
    """
    return {**AGENT, "agent": {**AGENT["agent"], **changes}}


def nodes(**changes: Any) -> dict[str, Any]:
    """
    Return the values of several nodes, with some changed.
    """
    return {**NODES, **changes}


CASES: dict[str, dict[str, Any]] = {
    "single": SINGLE,
    "single-tls": _TLS,
    "single-key": {
        "sealingKey": {"existingSecret": "k", "key": "key"},
        "storage": {"storageClassName": "fast"},
    },
    "single-claim": {"storage": {"existingClaim": "restored"}},
    "single-balancer": {
        **_TLS,
        "service": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "annotations": {"example/a": "b"},
        },
    },
    "single-offline": {"config": {"fill": "offline"}},
    "single-settings": {
        "config": {
            "workers": 4,
            "memo_bytes": 67108864,
            "access_log": True,
            "metadata_hosts": ["imds.example"],
            "intel_upstreams": [
                {"url": "https://thim.example", "kind": "thim"},
                {"url": "https://api.trustedservices.intel.com"},
            ],
            "expired": {"crl": "refuse"},
        }
    },
    "nodes": NODES,
    "nodes-claim": nodes(
        replica={"claim": True, "storageClassName": "fast"},
        spread={"hosts": "DoNotSchedule", "zones": "DoNotSchedule"},
    ),
    "nodes-unmigrated": nodes(replicas=1, migrate={"enabled": False}),
    "nodes-backup": nodes(migrate={"backupClaim": "backups"}),
    "nodes-peers": nodes(
        networkPolicy={
            "from": [_PEER],
            "adminFrom": [],
            "postgresqlTo": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
            "extraEgress": [{"ports": [{"port": 3128}]}],
        }
    ),
    "nodes-openshift": nodes(openshift=True, networkPolicy={"enabled": False}),
    "nodes-issuer": nodes(
        clusterIssuer={
            "url": "https://kubernetes.default.svc.cluster.local",
            "isApiServer": True,
            "bindDiscovery": True,
            "keyOrigins": ["https://192.0.2.1:6443"],
            "agents": ["edge:thim-agent"],
        }
    ),
    "nodes-placed": nodes(
        imagePullSecrets=[{"name": "registry"}],
        priorityClassName="high",
        nodeSelector={"pool": "a"},
        tolerations=[{"key": "a", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        podAnnotations={"example/a": "b"},
        podLabels={"team": "a"},
        extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        extraVolumes=[{"name": "more", "emptyDir": {}}],
        extraVolumeMounts=[{"name": "more", "mountPath": "/more"}],
        serviceAccount={"create": True, "annotations": {"example/a": "b"}},
    ),
    "agent": AGENT,
    "agent-declared": agent(
        devices="none",
        config={"chip": {"chip_id": "ab" * 64, "tcb": "DB18000000000004"}},
        networks=["10.244.0.0/16"],
    ),
    "agent-resource": agent(
        devices="resource",
        resources={"limits": {"smarter-devices/sev-guest": 1}},
    ),
    "agent-secret": agent(
        enrolment={"how": "secret", "secret": {"name": "thim-enrol"}},
        caSecret={"name": "thim-ca"},
        tolerations=[{"operator": "Exists"}],
    ),
    "agent-none": agent(enrolment={"how": "none"}, service="http://thim:80"),
    "both": {**_TLS, "agent": {"enabled": True}},
}
#: With objects of others' kinds, for which there are no schemas here.
FOREIGN: dict[str, dict[str, Any]] = {
    "cert-manager": {
        "tls": {"certManager": {"enabled": True, "issuerRef": _ISSUER}}
    },
    "cilium": {"networkPolicy": {"vendors": {"how": "cilium"}}},
    "monitor": {**_TLS, "serviceMonitor": {"enabled": True}},
}
