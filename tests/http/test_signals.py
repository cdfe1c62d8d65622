"""
Metrics, their documentation, alert rules and the dashboard belong together.
"""

import json
import re
import subprocess

import pytest
import yaml

from tests.conftest import PROJECT
from tests.http.attested_world import attesting
from tests.http.attesting import ACME
from tests.http.scraping import scrape, values
from tests.http.tiny import certify
from tests.needs import needs_promtool
from tests.vendors import await_so
from thim.store.node_state import state_file


PROMETHEUS = PROJECT / "deploy" / "prometheus"
RULES = PROMETHEUS / "alerts.yaml"
DASHBOARD = PROJECT / "deploy" / "grafana" / "thim.json"
DOCUMENTED = re.compile(r"^\| `(thim_\w+)` \| (.*?) \|", re.MULTILINE)
MENTIONED = re.compile(r"\bthim_\w+")
#: A claim, and a client.
OTHER_NAMES = {"thim_tenant", "thim_client"}
#: A ledger that is away.
NOWHERE = "postgresql://thim@127.0.0.1:1/thim"
#: Grafana fills these in.
VARIABLES = {"$job": ".*", "$node": ".*", "$tenant": ".*"}


@pytest.fixture(scope="module")
def scraped(attested_world, tmp_path_factory):
    """
    The metrics of a service with something to say in all of them.
    """
    folder = tmp_path_factory.mktemp("scraped")
    cert, _ = certify(folder)
    with attesting(
        attested_world,
        folder,
        tls_certificates=(folder / cert,),
        ledger=NOWHERE,
    ) as attester:
        await_so(lambda: state_file(attester.store).exists())
        attester.sgx()
        attester.sgx(b"x", prefix=ACME)
        return scrape(attester.served)


def sampled(families):
    """
    Return all names by which something can be asked for.
    """
    endings = {
        "counter": ["_total"],
        "histogram": ["_bucket", "_count", "_sum"],
    }
    return {
        f"{family.name}{ending}"
        for family in families
        for ending in endings.get(family.type, [""])
    }


def rules():
    """
    Return the rules that raise alerts.
    """
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    """
    Return the dashboard's panels that show something.
    """
    found = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions():
    """
    Return all that the dashboard asks Prometheus for.
    """
    return [t["expr"] for panel in panels() for t in panel["targets"]]


def test_verdicts(scraped):
    """
    Attestations are counted by what the TCB was worth, or that they were
    refused, for whom they were.
    """
    found = values(scraped)
    name = "thim_attestation_verdicts_total"

    verdicts = {labels[1:] for labels in found if labels[0] == name}
    assert verdicts == {
        ("UpToDate", "root", "SgxEnclave"),
        ("refused", "acme", "SgxEnclave"),
    }


class TestDocumented:
    def test_names(self, scraped):
        """
        The page of metrics has those that there are, and no others.
        """
        page = (PROJECT / "docs" / "metrics.md").read_text()
        names = [name for name, _ in DOCUMENTED.findall(page)]

        expected = {
            f"{f.name}_total" if f.type == "counter" else f.name
            for f in scraped
        }

        assert sorted(expected) == sorted(names)

    def test_labels(self, scraped):
        """
        It has their labels.
        """
        page = (PROJECT / "docs" / "metrics.md").read_text()
        documented = {
            name: set(re.findall(r"`(\w+)`", labels))
            for name, labels in DOCUMENTED.findall(page)
        }
        for family in scraped:
            is_counter = family.type == "counter"
            name = f"{family.name}_total" if is_counter else family.name
            for sample in family.samples:
                labels = set(sample.labels)
                is_bucket = sample.name.endswith("_bucket")
                if family.type == "histogram" and not is_bucket:
                    labels.add("le")
                assert labels == documented[name], sample

    def test_other_pages(self, scraped):
        """
        No page names a metric that there is not.
        """
        names = sampled(scraped) | {family.name for family in scraped}
        names |= OTHER_NAMES
        for page in (PROJECT / "docs").glob("*.md"):
            for name in MENTIONED.findall(page.read_text()):
                assert name in names, (page.name, name)


class TestAlerts:
    def test_names(self, scraped):
        """
        Alerts are raised by metrics that there are.
        """
        names = sampled(scraped)
        for rule in rules():
            mentioned = MENTIONED.findall(rule["expr"])
            assert mentioned
            assert set(mentioned) <= names, rule["alert"]

    def test_complete(self):
        """
        Each says how urgent it is, what is the matter, and where it stands
        what to do.
        """
        page = (PROJECT / "docs" / "operating.md").read_text()
        headings = re.findall(r"^### Alert (\w+)$", page, re.MULTILINE)
        for rule in rules():
            name = rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            notes = rule["annotations"]
            assert notes["summary"]
            anchor = f"docs/operating.md#alert-{name.lower()}"
            assert anchor == notes["runbook_url"]

        assert sorted(headings) == sorted(rule["alert"] for rule in rules())

    def test_whole_page(self):
        """
        Of each alert the page says what it means, what users notice, where to
        look first, what to do and when to wait.
        """
        page = (PROJECT / "docs" / "operating.md").read_text()
        _, _, alerts = page.partition("\n## Alerts\n")
        alerts, _, _ = alerts.partition("\n## ")
        _, *sections = re.split(r"^### Alert ", alerts, flags=re.MULTILINE)
        part = re.compile(r"^\*\*(.+?)\.\*\*", re.MULTILINE)
        expected = ["Means", "Users notice", "First look", "Do", "Wait"]
        for section in sections:
            assert expected == part.findall(section), section

    @needs_promtool
    def test_raised(self):
        """
        What is well raises nothing, and each trouble its alert.
        """
        done = subprocess.run(
            ["promtool", "test", "rules", PROMETHEUS / "alerts_test.yaml"],
            check=False,
            capture_output=True,
            text=True,
        )

        assert 0 == done.returncode, done.stdout + done.stderr

    def test_all_are_tried(self):
        """
        There is a trial of each alert.
        """
        trials = yaml.safe_load((PROMETHEUS / "alerts_test.yaml").read_text())
        names = [trial["name"] for trial in trials["tests"]]

        assert ["all is well", *(r["alert"] for r in rules())] == names


class TestDashboard:
    def test_names(self, scraped):
        """
        It shows metrics that there are.
        """
        names = sampled(scraped)
        for expression in expressions():
            mentioned = MENTIONED.findall(expression)
            assert mentioned
            assert set(mentioned) <= names, expression

    @needs_promtool
    def test_expressions(self, tmp_path):
        """
        Prometheus can read all that it is asked.
        """
        records = []
        for number, expression in enumerate(expressions()):
            text = expression
            for variable, value in VARIABLES.items():
                text = text.replace(variable, value)
            records.append({"record": f"panel:{number}", "expr": text})
        group = {"name": "dashboard", "rules": records}
        file = tmp_path / "rules.yaml"
        file.write_text(yaml.safe_dump({"groups": [group]}))
        done = subprocess.run(
            ["promtool", "check", "rules", file],
            check=False,
            capture_output=True,
            text=True,
        )

        assert 0 == done.returncode, done.stdout + done.stderr

    def test_panels(self):
        """
        Each panel has a number of its own, a title and a sentence; none lies
        on another; and the data source can be chosen.
        """
        taken: set[tuple[int, int]] = set()
        for panel in panels():
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert "${datasource}" == panel["datasource"]["uid"]
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken
            taken |= cells
        numbers = [panel["id"] for panel in panels()]

        assert len(set(numbers)) == len(numbers)

    def test_variables(self):
        """
        Node and tenant can be chosen.
        """
        found = json.loads(DASHBOARD.read_text())["templating"]["list"]

        names = [variable["name"] for variable in found]
        assert ["datasource", "job", "node", "tenant"] == names
