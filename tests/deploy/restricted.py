"""
The profile *restricted* of the Pod Security Standards, rule by rule.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.deploy.helm import Object


_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_PROFILES = {"RuntimeDefault", "Localhost"}
_MAY_ADD = {"NET_BIND_SERVICE"}


def find_breaches(pod: Object) -> set[str]:
    """
    Return what of a pod's template breaks which rule, by the rule's name.
    """
    spec = pod["spec"]
    return {*_of_pod(spec), *_of_containers(spec)}


def containers_of(spec: Object) -> list[Object]:
    """
    Return all containers of a pod.
    """
    return [*spec.get("initContainers", []), *spec["containers"]]


def _of_pod(spec: Object) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield "host namespaces"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            yield "host path volumes"
        if not set(volume) - {"name"} <= _VOLUMES:
            yield "volume types"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls"


def _of_containers(spec: Object) -> Iterator[str]:
    of_pod = spec.get("securityContext", {})
    for container in containers_of(spec):
        own = container.get("securityContext", {})
        yield from _of_container(own, {**of_pod, **own})
        for port in container.get("ports", []):
            if port.get("hostPort"):
                yield "host ports"


def _of_container(own: Object, both: Object) -> Iterator[str]:
    if own.get("privileged"):
        yield "privileged containers"
    # Privileged containers are given all there is, whatever is said here.
    if own.get("allowPrivilegeEscalation") is not False:
        yield "privilege escalation"
    capabilities: dict[str, Any] = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"]:
        yield "capabilities dropped"
    if not set(capabilities.get("add", [])) <= _MAY_ADD:
        yield "capabilities added"
    if both.get("runAsNonRoot") is not True:
        yield "running as non-root"
    if both.get("runAsUser") == 0:
        yield "running as non-root user"
    if both.get("seccompProfile", {}).get("type") not in _PROFILES:
        yield "seccomp"
    if own.get("procMount", "Default") != "Default":
        yield "/proc mount type"
