"""
A PostgreSQL ledger that is damaged or lost, until nodes serve from the one in
its place.
"""

import pytest

from tests.new_store import remember
from tests.nodes.node import TCB, follow, is_same, learn, node
from tests.postgresql import needs_postgresql, own_server, shared_server
from tests.services.made import INTEL
from thim.errors import UnwritableError
from thim.store.founding import make_ledger, make_replica, provide_replica
from thim.store.postgresql import engine_at
from thim.x509.chain import to_pem


pytestmark = needs_postgresql
LATER = "00906ED50000"


@pytest.fixture
def run(thim, tmp_path, monkeypatch):
    """
    Run a command in a world of test roots that must end with a *code*; return
    what it says.
    """
    roots = tmp_path / "root.pem"
    roots.write_bytes(to_pem([INTEL.certificates[0]]))
    monkeypatch.setenv("THIM_DANGEROUS_TEST_ANCHORS", str(roots))

    def run(*words, code=0):
        done = thim(*words)
        assert code == done.code, done.text + done.err
        return done.text + done.err

    return run


@pytest.fixture(scope="module")
def server():
    """
    The server that the ledger is in, which may be stopped.
    """
    with own_server() as running:
        yield running


@pytest.fixture
def address(server):
    """
    A ledger.
    """
    made = remember(server.new_database())
    make_ledger(made, INTEL.anchors)
    return made


@pytest.fixture
def replicas(address, tmp_path):
    """
    The replicas of two nodes, which know a document.
    """
    paths = [tmp_path / "n1.db", tmp_path / "n2.db"]
    for path in paths:
        make_replica(path, address)
    learn(paths[0])
    follow(paths[1], address)
    return paths


@pytest.fixture
def empty():
    """
    An empty database elsewhere.
    """
    return remember(shared_server().new_database())


def statuses(store, address):
    """
    Return how a node answers who asks for both documents.
    """
    with node(store, address) as served:
        paths = [TCB, TCB.replace("00606A000000", LATER)]
        return [served.get(path).status for path in paths]


def check_nodes_change_over(replicas, empty):
    """
    Check that a node refuses the new ledger by its name as long as it has the
    replica of the old one, and serves from it once that was deleted.
    """
    for replica in replicas:
        with pytest.raises(UnwritableError, match="another one's") as caught:
            provide_replica(replica, empty)
        assert "ledger-foreign" == caught.value.reason
        replica.unlink()
        provide_replica(replica, empty)
        assert is_same(replica, empty)


def test_from_backup(run, address, replicas, empty, tmp_path):
    """
    A backup goes into a file, and from there into an empty database; what came
    after it is lost, and nodes go over when their replicas are deleted.
    """
    backup, file = tmp_path / "backup.db", tmp_path / "file.db"
    run("db", "backup", "--store", replicas[0], "-o", backup)
    learn(replicas[0], LATER)
    run("db", "restore", backup, "--store", file)
    run("db", "move", empty, "--store", file)

    check_nodes_change_over(replicas, empty)
    assert [200, 404] == statuses(replicas[1], empty)
    assert "0 findings" in run("db", "verify", "--store", replicas[1])


def test_from_replica(run, address, replicas, empty, tmp_path):
    """
    Without a backup a node's replica becomes the ledger: nothing is lost that
    it had.
    """
    file = tmp_path / "file.db"
    learn(replicas[0], LATER)
    run(
        "db", "move", "--from-replica", f"sqlite:///{file}",
        "--store", replicas[0],
    )  # fmt: skip
    run("db", "move", empty, "--store", file)

    check_nodes_change_over(replicas, empty)
    assert [200, 200] == statuses(replicas[1], empty)


def test_not_from_a_ledger(run, our_store, tmp_path):
    """
    A file that is the ledger is no replica of one.
    """
    said = run(
        "db", "move", "--from-replica", tmp_path / "file.db",
        "--store", our_store, code=2,
    )  # fmt: skip

    assert "no replica" in said
    assert not (tmp_path / "file.db").exists()


def test_not_over_a_file(run, replicas):
    """
    Nor is anything written over.
    """
    said = run(
        "db", "move", "--from-replica", replicas[1],
        "--store", replicas[0], code=2,
    )  # fmt: skip

    assert "exists already" in said


class TestDamaged:
    @pytest.fixture
    def damaged(self, server, address, replicas):
        """
        The replica of a ledger in which a page of a table is damaged.
        """
        engine_at(address).dispose()
        server.damage(address, "records")
        return replicas[0]

    def test_verify(self, run, damaged):
        """
        `thim db verify` names the tables that cannot be read, and says how to
        restore the ledger.
        """
        said = run("db", "verify", "--store", damaged, code=1)

        assert "table records: ledger-damaged: invalid page in block 0" in said
        assert "thim db move --from-replica" in said

    def test_backup(self, run, damaged, tmp_path):
        """
        No backup is made of it, and the error says where to go.
        """
        said = run(
            "db", "backup", "--store", damaged, "-o", tmp_path / "b.db", code=2
        )

        assert "the ledger is damaged" in said
        assert "thim db verify" in said
        assert not (tmp_path / "b.db").exists()
