from tests.platforms import NOW
from thim.cli.doctor_view import write_report
from thim.client.doctor.model import Report, Trouble
from thim.client.findings import Level


def trouble(what, where="https://a.example", mend="Mend it."):
    """
    One finding.
    """
    return Trouble(
        level=Level.ERROR,
        name="root-untrusted",
        what=what,
        where=where,
        cause="It is another root.",
        mend=mend,
    )


def write(capsys, *troubles):
    """
    The findings of a report, as text.
    """
    report = Report(at=NOW, troubles=troubles, sections=(), has_targets=True)
    assert write_report(report, as_json=False)
    return capsys.readouterr().out.split("\n\n")[1:-1]


class TestAlike:
    def test_once(self, capsys):
        """
        What is the same of several findings at one place is said once.
        """
        (said,) = write(capsys, trouble("the CRL"), trouble("the TCB info"))

        assert [
            "!! root-untrusted at https://a.example",
            "   what   the CRL",
            "   what   the TCB info",
            "   cause  It is another root.",
            "   mend   Mend it.",
        ] == said.splitlines()[:5]

    def test_elsewhere(self, capsys):
        """
        At another place, or with another mend, it is another finding.
        """
        found = write(
            capsys,
            trouble("the CRL"),
            trouble("the CRL", where="https://b.example"),
            trouble("the CRL", mend="Wait."),
        )

        assert 3 == len(found)
