"""
Bundles from one store to another.
"""

import base64
import contextlib
import dataclasses
import json
import re
import sqlite3

import msgspec
import pytest

from tests.carrying import CHIPS, DAY, FMSPC, NOW, carried, copy, trusting
from tests.serving import serving
from tests.tenants import Decisions
from thim.collateral.bundle_file import write_file
from thim.collateral.bundle_keys import SecretKey
from thim.collateral.bundle_parts import (
    AuthorityPart,
    BundleHeader,
    ChannelPart,
    DocumentPart,
    EndorsementKeyPart,
    FileKind,
    HeldPart,
    PckPart,
    PlatformPart,
)
from thim.collateral.platforms import PlatformId
from thim.errors import (
    ConflictError,
    MalformedError,
    NotFoundError,
    OperatorError,
    UntrustedError,
)
from thim.services.bundle_files import SignedFile, make_key, read_key
from thim.services.bundle_request import list_wanted_vceks, sealed_as
from thim.services.signing_keys import SigningPlace, make_signing_key
from thim.services.tokens import Role, make_token
from thim.store import bundle_view


OTHER = SecretKey(bytes(32))


@pytest.fixture(scope="module")
def _made(tmp_path_factory):
    with carried(tmp_path_factory.mktemp("carried")) as made:
        yield made


@pytest.fixture
def sites(_made, tmp_path):
    """
    Both sites, after the first bundle was made.
    """
    return copy(_made, tmp_path)


def parts_of(sites, name):
    """
    Read what is in a bundle.
    """
    with SignedFile(sites.at(name)) as file:
        seal = file.verify(FileKind.BUNDLE, trusting(sites.open.key))
        return [part for block in file.parts(seal) for part in block]


def count(parts, kind):
    """
    Count the parts of one kind.
    """
    return sum(isinstance(part, kind) for part in parts)


def write(sites, name, parts, *, counter=1, base=None, key=None):
    """
    Write a bundle of one's own.
    """
    key = key or sites.open.key
    header = BundleHeader(
        created=NOW,
        signer=key.public.raw,
        counter=counter,
        program="test",
        base=base,
    )
    pieces = write_file(FileKind.BUNDLE, header, parts, key)
    sites.at(name).write_bytes(b"".join(pieces))


class TestRequest:
    def test_named(self, sites):
        """Platforms, their manifests and wanted VCEKs are named."""
        counts = sites.request("again")

        # Of the chip that is behind also that at the other's TCB.
        assert {"platforms": 2, "manifests": 1, "VCEKs": 3} == counts

    def test_manifest_sealed(self, sites):
        """A manifest is in it, for the recipient and for nobody else."""
        manifest = sites.machine("two").manifest
        with sites.reading() as request:
            (part,) = (
                part
                for part in request.parts()
                if isinstance(part, PlatformPart) and part.sealed
            )

        context = sealed_as(part.qe_id, part.pce_id)
        assert manifest == sites.open.key.open(part.sealed, context)
        with pytest.raises(UntrustedError):
            OTHER.open(part.sealed, context)
        assert manifest not in sites.at("request").read_bytes()

    def test_no_recipient(self, sites):
        """Without a recipient a manifest goes nowhere, and no file is made."""
        with pytest.raises(OperatorError, match="expected --to"):
            sites.request("again", recipient=None)

        assert not sites.at("again").exists()

    def test_other_recipient(self, sites):
        """Who is not the recipient says so, before anything is registered."""
        sites.request("again", recipient=OTHER.public)

        with pytest.raises(OperatorError, match="is that the one that --to"):
            sites.fetch("again")

    def test_next_firmware(self, sites):
        """Each chip is wanted at the TCBs that an operator names."""
        tcb = dataclasses.replace(sites.chip("milan-1").tcb, microcode=220)
        with sites.closed.site() as site:
            wanted = list(list_wanted_vceks(site.replica, [tcb], NOW))

        assert {sites.chip(name).hw_id for name in CHIPS} == {
            name.hw_id for name in wanted if name.tcb == tcb
        }

    def test_waiting(self, sites):
        """What somebody waits for is wanted, until it has come."""
        with sites.closed.site() as site:
            names = list(list_wanted_vceks(site.replica, [], NOW))
            site.ledger.chips.add_first(names[:1], NOW)

        sites.bring("first")

        assert [(0,)] == sites.closed.rows(
            "SELECT count(due) FROM targets WHERE name LIKE 'amd/vcek/%'"
        )

    def test_retired(self, sites):
        """What was retired is not wanted."""
        with sites.closed.site() as site:
            chip = sites.chip("milan-2")
            site.ledger.chip_table.retire(
                chip.product.value, chip.hw_id, actor="test", now=NOW
            )
            names = list(list_wanted_vceks(site.replica, [chip.tcb], NOW))

        assert chip.hw_id not in {name.hw_id for name in names}


class TestRoundTrip:
    def test_first(self, sites):
        """Everything that was wanted comes, and holds."""
        report = sites.bring("first")

        assert 0 == report.refused_count
        assert {
            "certificates": 5,
            "cert-chain": 1,
            "crl": 1,
            "root-ca-crl": 1,
            "pck-crl": 2,
            "tcb-evaluation-data-numbers": 2,
            "identity": 4,
            "tcb-info": 2,
            "channels": 2,
            "vcek": 2,
        } == report.new
        # They were registered; now they have certificates.
        assert {"platforms": 2} == report.already

    def test_same_documents(self, sites):
        """Both stores hold the same bytes."""
        sites.bring("first")

        for table, column in (
            ("records", "body"),
            ("endorsement_keys", "sha256"),
            ("certificates", "der"),
        ):
            query = f"SELECT {column} FROM {table} ORDER BY 1"  # noqa: S608
            assert sites.open.rows(query) == sites.closed.rows(query)

    def test_serves(self, sites):
        """A service without a network then answers as QPL asks."""
        sites.bring("first")
        machine = sites.machine("two")
        raw = machine.raw_tcbs[0]
        query = (
            f"qeid={machine.qe_id.hex()}&pceid={machine.pce_id.hex()}"
            f"&cpusvn={raw.cpusvn.hex()}"
            f"&pcesvn={raw.pcesvn.to_bytes(2, 'little').hex()}"
            f"&encrypted_ppid={machine.enc_ppid.hex()}"
        )
        base = "/sgx/certification/v4"

        with serving(
            sites.closed.store,
            sites.vendor.clock,
            anchors=sites.vendor.anchors,
        ) as served:
            for path in (
                f"{base}/pckcert?{query}",
                f"{base}/tcb?fmspc={machine.fmspc.hex()}&update=standard",
                f"/tdx/certification/v4/tcb?fmspc={machine.fmspc.hex()}",
                f"{base}/pckcrl?ca=platform",
                f"{base}/qe/identity",
                "/tdx/certification/v4/qe/identity",
                f"{base}/rootcacrl",
            ):
                assert 200 == served.get(path).status, path

    def test_attests(self, sites):
        """And it attests quotes of the machines there."""
        sites.bring("first")
        closed, vendor = sites.closed, sites.vendor
        place = SigningPlace(
            store=closed.store, anchors=vendor.anchors, key_file=closed.key_file
        )
        make_signing_key(
            place, lambda _: True, active_from=NOW, actor="test", now=NOW
        )

        with serving(
            closed.store,
            vendor.clock,
            anchors=vendor.anchors,
            attestation_url="https://attest.example",
            key_file=closed.key_file,
        ) as served:
            for name, kind, path in (
                ("one", "sgx-v3", "SgxEnclave"),
                ("two", "tdx-v4", "TdxVm"),
            ):
                quote = base64.urlsafe_b64encode(vendor.quote(name, kind))
                body = {"quote": quote.decode().rstrip("=")}
                got = served.get(
                    f"/attest/{path}?api-version=2025-06-01",
                    {
                        "Host": "attest.example",
                        "Content-Type": "application/json",
                    },
                    "POST",
                    json.dumps(body).encode(),
                )
                assert 200 == got.status, got.body

    def test_names_stay(self, sites):
        """What the closed site calls its machines is its own."""
        sites.bring("first")

        assert [("one",), ("two",)] == sites.closed.rows(
            "SELECT name FROM platforms ORDER BY name"
        )
        assert [(None,), (None,)] == sites.open.rows(
            "SELECT name FROM platforms"
        )

    def test_retired_stays_retired(self, sites):
        """A bundle puts no platform back into service."""
        machine = sites.machine("one")
        id_ = PlatformId(machine.qe_id, machine.pce_id)
        with sites.closed.site() as site:
            row = site.ledger.platforms.find_row(id_)
            site.ledger.platforms.retire(row, actor="test", now=NOW)

        sites.bring("first")

        assert [(1,)] == sites.closed.rows(
            "SELECT count(*) FROM platforms WHERE retired IS NOT NULL"
        )

    def test_settled(self, sites):
        """The counter, the signer and the event are written down."""
        sites.bring("first")

        ((direction, counter, signer, refused),) = sites.closed.rows(
            "SELECT direction, counter, signer, refused FROM bundles"
        )
        assert ("in", 1, 0) == (direction, counter, refused)
        assert sites.open.key.public.digest == signer
        ((detail,),) = sites.closed.rows(
            "SELECT detail FROM events WHERE action = 'bundle-import'"
        )
        assert "bundle 1" in detail

    def test_whole_archive(self, sites):
        """Without a request everything goes along."""
        made = sites.export("all", request=None)

        assert (2, 2) == (
            made.counts["platforms"],
            made.counts["endorsement keys"],
        )
        assert not made.missing.total()

    def test_without_machines(self, sites):
        """
        If it is to name no machine there are documents only, and they are
        taken in as ever.
        """
        sites.export("second", request=None, machines=False)

        kinds = {type(part) for part in parts_of(sites, "second")}
        assert {AuthorityPart, DocumentPart, ChannelPart} == kinds
        report = sites.bring("second")
        assert 2 == report.new["tcb-info"]
        assert not {"platforms", "vcek"} & {*report.new, *report.already}

    def test_only_requested(self, sites):
        """Of machines only those go along that the request names."""
        with sites.closed.site() as site:
            machine = sites.machine("one")
            id_ = PlatformId(machine.qe_id, machine.pce_id)
            row = site.ledger.platforms.find_row(id_)
            site.ledger.platforms.retire(row, actor="test", now=NOW)
        sites.request("again")

        sites.export("second", "again")

        found = [p for p in parts_of(sites, "second") if isinstance(p, PckPart)]
        assert [sites.machine("two").qe_id] == [part.qe_id for part in found]

    def test_deterministic(self, sites):
        """The same content, instant and number make the same bytes."""
        with copied(sites) as other:
            sites.export("second")
            other.export("second")

            assert (
                sites.at("second").read_bytes()
                == other.at("second").read_bytes()
            )


@contextlib.contextmanager
def copied(sites):
    """
    Copy both sites once more.
    """
    yield copy(sites, sites.folder.parent / f"{sites.folder.name}-copy")


#: What is the vendors' and may travel; in ``targets`` documents are named.
TRAVELS = {
    "alembic_version",
    "certificates",
    "channels",
    "dictionaries",
    "endorsement_keys",
    "hints",
    "issuer_chains",
    "pck_certificates",
    "pck_families",
    "records",
    "series",
    "targets",
}


class TestStays:
    def test_nothing_else(self, sites):
        """
        Tenants, policies, tokens, keys, events and names never travel: nothing
        that stands in any other table is in a bundle, but IDs and raw TCBs.
        """
        fill(sites.open, sites.vendor)
        secrets = secrets_of(sites.open, TRAVELS)

        sites.export("second", request=None)

        content = written(parts_of(sites, "second"))
        assert {"definitions", "api_tokens", "attestation_policies"} <= {
            table for table, _ in secrets
        }
        assert {"signing_keys", "events", "platform_secrets"} <= {
            table for table, _ in secrets
        }
        assert [] == [
            (table, value) for table, value in secrets if value in content
        ]

    def test_request(self, sites):
        """
        Of a request the same is true, but for the encrypted PPIDs.
        """
        fill(sites.closed, sites.vendor)
        ppids = {sites.machine(name).enc_ppid for name in ("one", "two")}
        names = {b"milan-1", b"milan-2", b"seven"}
        secrets = secrets_of(sites.closed, TRAVELS - {"hints"})

        sites.request("again")

        with sites.reading("again") as request:
            content = written(list(request.parts()))
        assert set() == {name for name in names if name in content}
        assert (
            set() == {value for _, value in secrets if value in content} - ppids
        )

    def test_tables(self):
        """What goes into bundles is read from the vendors' tables."""
        assert tables_read() <= TRAVELS


def fill(place, vendor):
    """
    Have a store hold whatever must not travel.
    """
    made = Decisions().tenant("secret-tenant", "standard")
    made.write(place.store, vendor.anchors)
    signing = SigningPlace(
        store=place.store, anchors=vendor.anchors, key_file=place.key_file
    )
    make_signing_key(
        signing, lambda _: True, active_from=NOW, actor="test", now=NOW
    )
    with place.site() as site:
        _, token = make_token("a-token", Role.ADMIN, actor="root", now=NOW)
        site.ledger.tokens.add(token)
        site.ledger.attestation_policies.put(
            "secret-tenant",
            "SgxEnclave",
            b"a policy that is nobody's",
            actor="test",
            at=NOW,
        )


def secrets_of(place, but_for):
    """
    Return each value in the tables of a store *but for* some: whose, and what;
    nothing so short that it may stand anywhere, and no machine's ID or TCB.
    """
    tables = [
        name
        for (name,) in place.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        )
    ]
    told = place.rows(
        "SELECT qe_id FROM platforms UNION SELECT raw_tcbs FROM platforms "
        "UNION SELECT hw_id FROM chips UNION SELECT tcb FROM chips"
    )
    ids = {value for (value,) in told}
    found = []
    for table in set(tables) - but_for:
        for row in place.rows(f"SELECT * FROM {table}"):  # noqa: S608
            values = (v.encode() if isinstance(v, str) else v for v in row)
            found += [
                (table, value)
                for value in values
                if isinstance(value, bytes) and len(value) > 8
                if value not in ids
            ]
    return found


def written(parts):
    """
    Return what parts hold, one value behind the other.
    """
    return msgspec.msgpack.encode(parts)


def tables_read():
    """
    Return the tables that the view of what goes into bundles reads.
    """
    statements = [
        value
        for value in vars(bundle_view).values()
        if isinstance(value, str) and "SELECT" in value
    ]
    found = re.findall(r"(?:FROM|JOIN) ([a-z_]+)", " ".join(statements))
    return set(found)


class TestOrder:
    def test_twice(self, sites):
        """A bundle that was imported already is not taken in again."""
        sites.bring("first")

        assert None is sites.bring("first")

    def test_older(self, sites):
        """An older one is refused, unless its owner wants it."""
        sites.export("second")
        sites.bring("second")

        with pytest.raises(OperatorError, match="with --older") as e:
            sites.bring("first")
        assert "bundle-older" == e.value.reason
        assert 0 == sites.bring("first", older=True).refused_count
        # The newest stays the newest.
        with pytest.raises(OperatorError):
            sites.bring("first")

    def test_same_number(self, sites):
        """Another one of the same number is refused."""
        sites.bring("first")
        write(sites, "forged", [])

        with pytest.raises(OperatorError, match="another one of the same"):
            sites.bring("forged")

    def test_refused_again(self, sites):
        """A bundle of which something was refused is taken in once more."""
        write(sites, "bad", [DocumentPart(name="x", body=b"{}")])

        first, second = sites.bring("bad"), sites.bring("bad")

        assert 1 == first.refused_count == second.refused_count

    def test_wrong_signer(self, sites):
        """A bundle of somebody else's is refused, and nothing changes."""
        write(sites, "foreign", [], key=OTHER)

        with pytest.raises(UntrustedError, match=OTHER.public.fingerprint) as e:
            sites.bring("foreign")
        assert "bundle-signer" == e.value.reason
        assert [] == sites.closed.rows("SELECT * FROM bundles")

    def test_own_counters(self, sites):
        """Each signer counts for itself."""
        sites.bring("first")
        write(sites, "foreign", [], key=OTHER)

        assert 0 == sites.bring("foreign", signers=[OTHER]).refused_count

    def test_changed(self, sites):
        """A bundle in which one byte is another is refused."""
        raw = bytearray(sites.at("first").read_bytes())
        raw[len(raw) // 2] ^= 1
        sites.at("first").write_bytes(raw)

        with pytest.raises(UntrustedError, match=str(sites.at("first"))):
            sites.bring("first")
        assert [(0,)] == sites.closed.rows("SELECT count(*) FROM records")

    def test_request_is_no_bundle(self, sites):
        """A request is not taken for a bundle."""
        with pytest.raises(MalformedError, match="expected a thim-bundle"):
            sites.bring("request")

    def test_numbers(self, sites):
        """Each bundle has the next number, or the one that it is given."""
        numbers = [
            sites.export("second").which.counter,
            sites.export("third", counter=9).which.counter,
            sites.export("fourth").which.counter,
        ]

        assert [2, 9, 10] == numbers

    def test_number_taken(self, sites):
        """No number is given twice, and then there is no file."""
        with pytest.raises(ConflictError):
            sites.export("second", counter=1)

        assert not sites.at("second").exists()

    def test_no_overwriting(self, sites):
        """A file that is there stays, and no number is spent."""
        before = sites.at("first").read_bytes()

        with pytest.raises(OperatorError, match="there is one already"):
            sites.export("first")
        assert before == sites.at("first").read_bytes()
        assert 2 == sites.export("second").which.counter


class TestDelta:
    def test_by_request(self, sites):
        """
        After an import a request says what is there, and the next bundle
        leaves that out.
        """
        sites.bring("first")
        sites.request("again")
        sites.vendor.clock.move_to(NOW + DAY)

        made = sites.export("second", "again", now=NOW + DAY)

        assert 1 == made.base.counter
        parts = parts_of(sites, "second")
        # AMD's chains always go along.
        assert 1 == count(parts, DocumentPart)
        assert 0 == count(parts, PckPart)
        report = sites.bring("second", now=NOW + DAY)
        assert {} == report.new

    def test_new_document(self, sites):
        """What is new goes along."""
        sites.bring("first")
        drop_newest(sites.closed)
        sites.request("third")

        sites.export("second", "third")

        assert {"identity": 1} == sites.bring("second").new

    def test_since(self, sites):
        """Without a request a delta has what is new since a bundle."""
        # Platforms of the day before its base go along once more.
        sites.export("second", None, now=NOW + 3 * DAY)

        made = sites.export("third", None, since=2, now=NOW + 3 * DAY)

        assert 2 == made.base.counter
        parts = parts_of(sites, "third")
        assert (1, 0) == (count(parts, DocumentPart), count(parts, PckPart))

    def test_since_one_without_machines(self, sites):
        """A delta to a bundle that named no machine has all of them."""
        sites.export("second", None, machines=False, now=NOW + 3 * DAY)

        sites.export("third", None, since=2, now=NOW + 3 * DAY)

        parts = parts_of(sites, "third")
        assert 2 == count(parts, PckPart)
        assert 2 == count(parts, EndorsementKeyPart)

    def test_since_unknown(self, sites):
        """A delta to a bundle that was never made is refused."""
        with pytest.raises(NotFoundError, match="bundle 7"):
            sites.export("second", None, since=7)

    def test_base_missing(self, sites):
        """A delta whose base was never imported is refused, naming it."""
        sites.export("second", None, since=1)
        base = sites.seal_of("first").sha256.hex()

        with pytest.raises(OperatorError, match=base) as e:
            sites.bring("second")
        assert "bundle-base" == e.value.reason
        with pytest.raises(OperatorError):
            sites.bring("second", older=True)

    def test_chain(self, sites):
        """A delta to a delta needs both before it."""
        sites.export("second", None, since=1)
        sites.export("third", None, since=2)
        sites.bring("first")

        with pytest.raises(OperatorError, match="delta to bundle 2"):
            sites.bring("third")
        sites.bring("second")
        assert 0 == sites.bring("third").refused_count

    def test_foreign_base(self, sites):
        """
        A request that names a bundle which was not made here is answered with
        everything.
        """
        write(sites, "other-first", [], counter=5)
        sites.bring("other-first")
        sites.request("again")

        made = sites.export("second", "again")

        assert None is made.base
        assert 13 == made.counts["documents"]


def drop_newest(place):
    """
    Have a store forget one document, as if it had never come.
    """
    with contextlib.closing(sqlite3.connect(place.store)) as db, db:
        (row,) = db.execute(
            "SELECT max(r.id) FROM records r JOIN series s "
            "ON s.id = r.series_id WHERE s.kind = 'identity'"
        ).fetchone()
        db.execute("DELETE FROM heads WHERE record_id = ?", (row,))
        db.execute("DELETE FROM head_moves WHERE record_id = ?", (row,))
        db.execute("DELETE FROM records WHERE id = ?", (row,))


class TestUntrusted:
    """What a signer puts into a bundle is verified as any stranger's."""

    def test_forged_document(self, sites):
        """A document that its vendor did not sign is refused by name."""
        parts = parts_of(sites, "first")
        forged = [
            DocumentPart(
                name=part.name,
                body=part.body.replace(b"UpToDate", b"OutOfDate"),
            )
            if isinstance(part, DocumentPart) and "tcb-info" in part.name
            else part
            for part in parts
        ]
        write(sites, "forged", forged)

        report = sites.bring("forged")

        assert {"documents": 2} == report.refused
        assert {"signature-invalid"} == {r.reason for r in report.refusals}
        assert "tcb-info" not in report.new
        assert [(2,)] == sites.closed.rows("SELECT count(*) FROM quarantine")

    def test_foreign_authority(self, sites):
        """A CA that is nobody's is refused."""
        write(sites, "forged", [AuthorityPart(der=b"0\0")])

        assert 1 == sites.bring("forged").refused_count

    def test_other_machines_certificates(self, sites):
        """Certificates of another machine are refused."""
        sites.bring("first")
        one, two = (
            part
            for part in parts_of(sites, "first")
            if isinstance(part, PckPart)
        )
        swapped = PckPart(
            qe_id=one.qe_id,
            pce_id=one.pce_id,
            raw_tcbs=one.raw_tcbs,
            certificates=two.certificates,
        )
        write(sites, "forged", [swapped], counter=2)

        report = sites.bring("forged")

        assert {"platforms": 1} == report.refused
        assert ["ppid-conflict"] == [r.reason for r in report.refusals]

    def test_unproven_channel(self, sites):
        """A channel counts beside a document of its number only."""
        parts = [
            ChannelPart(name="standard", number=99, seen=NOW),
            ChannelPart(name="latest", number=20, seen=NOW),
        ]
        write(sites, "forged", parts)

        report = sites.bring("forged")

        assert ["channel-unproven", "unknown-channel"] == [
            r.reason for r in report.refusals
        ]
        assert [] == sites.closed.rows("SELECT * FROM channels")

    def test_part_of_a_request(self, sites):
        """What belongs into a request has no place in a bundle."""
        write(sites, "forged", [HeldPart(digests=b"")])

        with pytest.raises(MalformedError) as e:
            sites.bring("forged")
        assert "bundle-format" == e.value.reason


class TestFetch:
    def test_fetched(self, sites):
        """What is there is not asked for again, but for what changes daily."""
        steps = sites.fetch()

        # AMD has none of one chip at the other's TCB.
        assert ["vendor-has-none"] == [
            step.problem.partition(":")[0] for step in steps if step.problem
        ]
        asked = {step.what.partition(" ")[0] for step in steps}
        assert "platform" not in asked
        assert f"intel/tcb-info/sgx:{FMSPC}/3?number=20" not in asked

    def test_indirect_registration(self, sites):
        """A machine of several packages is registered by its manifest."""
        machine = sites.machine("two")

        assert [("manifest",)] == sites.open.rows(
            "SELECT registered_by FROM platforms "
            "WHERE registered_by != 'encrypted-ppid' AND fmspc IS NOT NULL"
        )
        ((sealed,),) = sites.open.rows(
            "SELECT manifest FROM platform_secrets WHERE manifest IS NOT NULL"
        )
        assert machine.manifest not in sealed

    def test_missing(self, sites):
        """What is wanted and not there is said."""
        assert {"VCEKs": 1} == +sites.export("second").missing


class TestKeys:
    def test_mode(self, sites):
        """Nobody else may read a key, and none is overwritten."""
        path = sites.folder / "new.key"
        key = make_key(path)

        assert 0o600 == path.stat().st_mode & 0o777
        assert key.public == read_key(path).public
        with pytest.raises(OperatorError, match="there is one already"):
            make_key(path)
        assert key.public == read_key(path).public

    def test_others_may_read(self, sites):
        """A key that others may read is not used."""
        path = sites.folder / "new.key"
        make_key(path)
        path.chmod(0o644)

        with pytest.raises(OperatorError, match="mode 0644"):
            read_key(path)

    def test_none(self, sites):
        """Where there is no key it is said what makes one."""
        with pytest.raises(OperatorError, match="thim bundle key create"):
            read_key(sites.folder / "absent.key")

    def test_not_a_key(self, sites):
        """What is no key is not used."""
        path = sites.folder / "new.key"
        path.touch(0o600)

        with pytest.raises(OperatorError, match="not what"):
            read_key(path)
