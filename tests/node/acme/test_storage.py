"""Files of keys and certificates: for our eyes alone, whole or not at all, and good for a restart."""

import stat
from pathlib import Path

import pytest

from penstock.base.errors import StartError
from penstock.config.tls_plan import AcmePlan, CertificatePlan
from penstock.node.acme.minting import key_pem, new_key, placeholder
from penstock.node.acme.storage import ACCOUNT, account_key, prepare, read
from penstock.testing.certificates import Authority

NOW = 1_700_000_000


@pytest.fixture
def plan(tmp_path):
    """A plan of one certificate."""
    folder = tmp_path / "acme" / "directory"
    file = str(folder / "a.example.com.pem")
    return AcmePlan(storage=str(folder), certificates=(CertificatePlan(cert=file, key=file, names=("a.example.com",)),))


def modes(path):
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(Path(path).stat().st_mode)


def test_until_there_is_one_a_self_signed_one_is_kept(plan):
    """In a folder that only we can read, in a file that only we can read; it stays the same from start to start."""
    prepare(plan, NOW)
    file = plan.certificates[0].cert
    assert (modes(plan.storage), modes(file)) == (0o700, 0o600)
    found = read(Path(file))
    assert found is not None
    assert (found.names, found.issuer) == ({"a.example.com"}, "")
    before = Path(file).read_bytes()
    prepare(plan, NOW + 1)
    assert Path(file).read_bytes() == before


def issued(plan, tmp_path, *names):
    """Write a certificate that somebody issued into the plan's file."""
    pair = Authority(tmp_path).issue(*names)
    path = Path(plan.certificates[0].cert)
    path.write_bytes(Path(pair.key).read_bytes() + Path(pair.cert).read_bytes())
    return path


def test_what_was_issued_is_kept(plan, tmp_path):
    """A certificate with its key that is for one of the names is not touched."""
    prepare(plan, NOW)
    path = issued(plan, tmp_path, "a.example.com", "b.example.com")
    before = path.read_bytes()
    prepare(plan, NOW)
    assert path.read_bytes() == before
    found = read(path)
    assert found is not None
    assert "trustme" in found.issuer
    assert found.not_before < found.not_after


BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [b"", b"nonsense", BROKEN])
def test_what_cannot_be_loaded_is_replaced(plan, content):
    """A file that workers could not load must not keep the node from starting."""
    prepare(plan, NOW)
    path = Path(plan.certificates[0].cert)
    path.write_bytes(content)
    assert read(path) is None
    prepare(plan, NOW)
    assert read(path) is not None


def test_a_certificate_without_its_key_is_replaced(plan, tmp_path):
    """So is one of somebody else's names."""
    prepare(plan, NOW)
    path = issued(plan, tmp_path, "a.example.com")
    path.write_bytes(key_pem(new_key()) + path.read_bytes().partition(b"-----END EC PRIVATE KEY-----")[2])
    prepare(plan, NOW)
    assert read(path).issuer == ""
    path.write_bytes(placeholder(("b.example.com",), NOW))
    prepare(plan, NOW)
    assert read(path).names == {"a.example.com"}


def test_a_storage_that_cannot_be_used_is_told(plan, tmp_path):
    """With the place and the reason."""
    (tmp_path / "acme").write_text("in the way")
    with pytest.raises(StartError, match=r"acme\.storage: .*acme.*: "):
        prepare(plan, NOW)


def test_nothing_is_made_for_nothing(tmp_path):
    """A node without ACME leaves no trace."""
    prepare(AcmePlan(storage=str(tmp_path / "acme")), NOW)
    assert list(tmp_path.iterdir()) == []


def test_the_account_keeps_its_key(plan):
    """It is made once, for our eyes alone; what is no such key is told and not overwritten."""
    prepare(plan, NOW)
    path = Path(plan.storage) / ACCOUNT
    first = account_key(plan)
    assert account_key(plan).public_key() == first.public_key()
    assert modes(path) == 0o600
    path.write_text("nonsense")
    with pytest.raises(ValueError, match="no key of an account"):
        account_key(plan)
    assert path.read_text() == "nonsense"
