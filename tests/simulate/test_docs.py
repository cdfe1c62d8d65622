import re

import msgspec
import pytest

from tests.conftest import PROJECT
from tests.simulate.asking import NOW, SAPPHIRE, ask, judge, tcb
from tests.simulate.chips import fetch
from tests.simulate.machines import AZURE, certificates_of, playing
from thim.simulate.admin import AnyFault, AnyQuote
from thim.simulate.amd_part import AmdPart, ChipPart, LimitPart, SplPart
from thim.simulate.clock import Clock
from thim.simulate.evidence import BODIES, QuoteKind
from thim.simulate.orders import Route
from thim.simulate.platform_part import PlatformPart
from thim.simulate.server import simulating
from thim.simulate.snp_request import ReportRequest
from thim.simulate.world import World


TEXT = (PROJECT / "docs" / "simulate.md").read_text()


class TestDocs:
    def test_world(self):
        """
        The world in the documentation can be played.
        """
        text, machines, _ = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
        world = World.from_toml(text, "docs/simulate.md")
        with simulating(world, Clock(NOW, frozen=True)) as running:
            record = judge(running, ask(running.url, tcb(SAPPHIRE)))

        assert 20 == record.evaluation_number
        assert AZURE.read_text().endswith(machines)

    def test_amd(self):
        """
        So can it with the chips beside it.
        """
        text, _, chips = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
        world = World.from_toml(text + chips, "docs/simulate.md")
        with simulating(world, Clock(NOW, frozen=True)) as running:
            found = fetch(running, running.chip("siena-1").path)
            found.verify(running)

        assert frozenset({0x20101}) == found.crl.revoked

    @pytest.mark.parametrize("part", [AmdPart, LimitPart, ChipPart, SplPart])
    def test_amd_fields(self, part):
        """
        Each field of AMD and of a chip is named.
        """
        _, _, text = TEXT.partition("**`[amd]`**")

        assert {*part.__struct_fields__} <= {*re.findall(r"`(\w+)`", text)}

    def test_vlek(self):
        """
        The example of a provider gets its VLEK.
        """
        header, path = re.findall(
            r"-H '(CSP-Secret: .*)' 'http://\S+8181(/\S+)'", TEXT
        )[0]
        name, _, secret = header.partition(": ")
        with simulating(clock=Clock(NOW, frozen=True)) as running:
            fetch(running, path, {name: secret}).verify(running)

    def test_reports(self):
        """
        The examples of reports are taken, and each of their fields is named.
        """
        bodies = re.findall(r"/reports .*-d '(.*)'", TEXT)
        _, _, text = TEXT.partition("## SNP reports")
        with simulating(clock=Clock(NOW, frozen=True)) as running:
            for body in bodies:
                wanted = msgspec.json.decode(body, type=ReportRequest)
                assert wanted.make(running.amd)

        assert 3 == len(bodies)
        assert {*ReportRequest.__struct_fields__} <= {
            *re.findall(r"`(\w+)`", text)
        }

    def test_machine(self):
        """
        The example of a machine asks for certificates that it has.
        """
        path, query = re.findall(r"8181(/sgx/\S+/pckcert)\?(.*)\"", TEXT)[0]
        with playing() as running:
            (name,) = set(re.findall(r"8182/platforms/(\S+)", TEXT))
            machine = running.platform(name)
            query = query.replace("$ENC_PPID", machine.enc_ppid.hex())
            got = ask(running.url, f"{path}?{query}")

        assert machine.pck_certificates[1:2] == tuple(certificates_of(got))

    def test_machine_fields(self):
        """
        Each field of a machine has its line.
        """
        listed = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)

        assert {*PlatformPart.__struct_fields__} <= {*listed}

    def test_routes(self):
        """
        Each route that a fault may name is named.
        """
        (line,) = re.findall(r"^\| `route` \| (.*)$", TEXT, re.MULTILINE)

        assert {route.value for route in Route} <= {
            *re.findall(r"`([\w-]+)`", line)
        }

    def test_kinds(self):
        """
        Each kind of fault has its line.
        """
        listed = re.findall(r"^\| `([a-z-]+)` \|", TEXT, re.MULTILINE)

        for kind in AnyFault.__args__:
            assert kind.__struct_config__.tag in listed

    def test_faults(self):
        """
        The examples are faults that the admin port takes.
        """
        bodies = re.findall(r"/faults -d '(.*)'", TEXT)

        assert bodies
        for body in bodies:
            msgspec.json.decode(body, type=AnyFault)

    def test_quotes(self):
        """
        So are the quotes, and each field of each kind is named.
        """
        bodies = re.findall(r"/quotes .*-d '(.*)'", TEXT)
        lines = dict(
            re.findall(r"^\| `(sgx-v3|tdx-v\d)` \| (.*)$", TEXT, re.MULTILINE)
        )

        assert {kind.value for kind in QuoteKind} == {
            msgspec.json.decode(body, type=AnyQuote).to_order().kind.value
            for body in bodies
        }
        named = set()
        for kind, body in BODIES.items():
            named |= set(re.findall(r"`(\w+)`", lines[kind.value]))
            assert body.layout.keys() - {"report_data"} <= named
