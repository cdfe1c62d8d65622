import kubernetes_validate
import pytest

from tests.deploy.helm import find, read_objects
from tests.deploy.manifests import KUBERNETES, NAMES, write_manifest


@pytest.mark.parametrize("name", NAMES)
class TestManifest:
    def test_rendered(self, name):
        """
        It is what helm renders (`make manifests` writes it anew).
        """
        assert write_manifest(name) == (KUBERNETES / f"{name}.yaml").read_text()

    def test_valid(self, name):
        """
        It is valid as it lies there, and nothing in it is Helm's.
        """
        text = (KUBERNETES / f"{name}.yaml").read_text()
        objects = read_objects(text)
        for each in objects:
            kubernetes_validate.validate(each, "1.37", strict=True)
        assert "helm.sh" not in text


def test_nodes():
    """
    Several nodes are three.
    """
    objects = read_objects((KUBERNETES / "nodes.yaml").read_text())
    assert 3 == find(objects, "Deployment")["spec"]["replicas"]


def test_job():
    """
    The job with which Azure's documentation asks is valid too.
    """
    (job,) = read_objects((KUBERNETES / "curl.yaml").read_text())
    kubernetes_validate.validate(job, "1.37", strict=True)
    assert "Job" == job["kind"]
