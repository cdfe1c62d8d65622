from tests.nodes.found import Found, summarise
from tests.nodes.notes import Gone, Notes


def failure(start):
    """
    Make a note of a GET that failed.
    """
    values = {"node": "n1", "path": "/", "start": start, "end": start}
    return {"what": "failure", **values, "why": ""}


def test_handed_over(tmp_path):
    """
    What one process writes another reads.
    """
    found = Found(name="seed 1", wrong=["a"], healing=[0.5], gets=3)
    found.write(tmp_path / "found")
    assert found == Found.read(tmp_path / "found")


def test_count():
    """
    GETs and writes are counted, and failures apart for a node that was gone.
    """
    second = {"what": "second", "second": 1, "node": "n1", "times": [0.1, 0.2]}
    kept = {"what": "kept", "kind": "k", "name": "a", "node": "n1", "at": 1}
    refused = {"what": "refused", "node": "n1", "start": 1, "why": ""}
    lines = [second, kept, refused, failure(12), failure(13), failure(30)]
    found = Found(name="a")
    found.count(Notes(lines), [Gone(node="n1", start=10, end=20)])
    assert (2, 1, 2) == (found.gets, found.failed, found.gone)
    assert (1, 1) == (found.kept, found.refused)


def test_summary():
    """
    Each figure is told with its median, its worst, and whose that was; counts
    are those of all.
    """
    found = [
        Found(name="a", told=["grew"], healing=[1, 2], gets=1, kept=5),
        Found(name="b", healing=[6], spread=[0.1], gets=2, failed=1),
    ]
    gets = (
        "GETs: 3 answered, 1 failed at nodes that could be reached, "
        "0 at nodes that were gone"
    )
    assert [
        "a: grew",
        "of one mind: 2.000 s (median of 3), 6.000 s (worst, b); 1 over 5 s",
        "another leads: never measured",
        "a new CRL: 0.100 s (median of 1), 0.100 s (worst, b)",
        gets,
        "writes: 5 acknowledged, 0 refused",
    ] == list(summarise(found, 5))
