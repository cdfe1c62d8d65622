import socket
import threading

import pytest

from thim.errors import OperatorError
from thim.simulate.demo.traffic import Traffic
from thim.simulate.demo.vendor import staging


@pytest.fixture
def traffic():
    """
    Traffic to a port where nobody is.
    """
    with socket.socket() as reserved, staging(20) as stage:
        reserved.bind(("127.0.0.1", 0))
        stage.vendors.clock.move_to(stage.today)
        yield Traffic(stage, f"http://127.0.0.1:{reserved.getsockname()[1]}")


class TestTraffic:
    def test_round(self, traffic):
        """
        A service that does not answer the first time is an error in a line.
        """
        with pytest.raises(OperatorError, match="does not answer"):
            traffic.round(lambda: None)

    def test_run(self, traffic):
        """
        One that does not answer later on is asked again, until the end.
        """
        ended = threading.Event()
        thread = threading.Thread(target=traffic.run, args=[ended])
        thread.start()
        thread.join(0.2)
        goes_on = thread.is_alive()
        ended.set()
        thread.join()

        assert goes_on
