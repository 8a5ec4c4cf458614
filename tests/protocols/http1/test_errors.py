"""What a refused request is."""

from penstock.base.errors import RemoteError
from penstock.protocols.http1.errors import BadRequest


def test_bad_request_is_the_clients_fault():
    """It is a RemoteError, so who knows no HTTP still knows whose fault it is; its message is the line of reason."""
    error = BadRequest(431, "the head holds too much")
    assert isinstance(error, RemoteError)
    assert (error.status, error.detail, str(error)) == (431, "the head holds too much", "the head holds too much")
