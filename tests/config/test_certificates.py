"""Certificates are looked at before a worker uses them: every way in which one can be wrong, and hostile bytes."""

import ipaddress
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.config.certificates import WrongKey, check_authorities, check_ciphers, look_at, on_day
from penstock.config.mistakes import Wrong
from penstock.testing.certificates import Authority

NOON = datetime(2031, 5, 15, 12, tzinfo=UTC)
NOW = int(NOON.timestamp())
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def certificate(*, key=KEY, names=("a.example",), common=(), begins=-1, days=30):
    """Return a certificate that signs itself, in PEM."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each) for each in common])
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=subject,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=NOON + timedelta(days=begins),
        not_valid_after=NOON + timedelta(days=days),
    )
    if names:
        listed = [x509.DNSName(n) if isinstance(n, str) else x509.IPAddress(n) for n in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(listed), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(key=KEY, how=None):
    """Return a key in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how or NoEncryption())


GOOD, PEM = certificate(), pem()


@pytest.fixture
def look(tmp_path):
    """Look at these bytes as certificate and key; None for a file that is not there."""

    def _look(cert, key=PEM, *, now=NOW, named=True):
        for name, content in (("a.pem", cert), ("a.key", key)):
            if content is not None:
                (tmp_path / name).write_bytes(content)
        return look_at(tmp_path / "a.pem", tmp_path / "a.key", now, named=named)

    return _look


def test_names(look):
    """Names of the alternative ones, addresses too, in lower case; the common name only where there are none."""
    names = ("A.Example", "*.b.example", ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1"))
    looked = look(certificate(names=names, common=("other",)))
    assert looked.names == ("a.example", "*.b.example", "10.0.0.1", "::1")
    assert on_day(looked.not_after) == "2031-06-14"
    assert look(certificate(names=(), common=("Old.Example",))).names == ("old.example",)
    assert look(certificate(names=()), named=False).names == ()


def test_one_file_may_hold_both(tmp_path):
    """Certificate and key in one file, in any order, are found."""
    path = tmp_path / "both.pem"
    for content in (GOOD + pem(), pem() + GOOD):
        path.write_bytes(content)
        assert look_at(path, path, NOW).names == ("a.example",)


def test_what_an_authority_issues(tmp_path):
    """A certificate with the chain of its authority is right."""
    issued = Authority(tmp_path).issue("b.example")
    now = int(datetime.now(UTC).timestamp())  # what it issues is valid now, whenever that is
    assert look_at(tmp_path / "b.example.pem", tmp_path / "b.example.key", now).names == issued.names


@pytest.mark.parametrize(
    ("cert", "key", "what", "blames_key"),
    [
        (None, pem(), "no such file", False),
        (GOOD, None, "no such file", True),
        (b"", pem(), "holds no certificate in PEM", False),
        (pem(), pem(), "holds no certificate in PEM", False),
        (GOOD, GOOD, "holds no private key in PEM", True),
        (GOOD.replace(b"M", b"!", 1), pem(), "holds a certificate that cannot be read", False),
        (GOOD[:200] + GOOD[260:], pem(), "holds a certificate that cannot be read", False),
        (GOOD, pem().replace(b"M", b"!", 1), "holds a private key that cannot be read", True),
        (GOOD, pem(how=BestAvailableEncryption(b"secret")), "holds a key with a password", True),
        (GOOD, pem(OTHER), "is not the key of the certificate in", True),
        (certificate(key=OTHER) + GOOD, pem(), "the first certificate must be our own", False),
        (certificate(names=()), pem(), "the certificate is valid for no name", False),
        (certificate(begins=-9, days=-1), pem(), "the certificate expired on 2031-05-14", False),
        (certificate(begins=-9, days=0), pem(), "the certificate expired on 2031-05-15", False),
        (certificate(begins=1), pem(), "the certificate is not valid before 2031-05-16", False),
        (b"x" * 300_000, pem(), "is longer than 256 KiB", False),
    ],
)
def test_each_mistake(look, cert, key, what, blames_key):
    """Each way to be wrong is told once, of the file that is to blame."""
    with pytest.raises(Wrong) as caught:
        look(cert, key)
    assert caught.value.what.startswith(what)
    assert isinstance(caught.value, WrongKey) is blames_key


def test_a_folder_is_no_certificate(tmp_path):
    """What is no regular file is refused."""
    with pytest.raises(Wrong, match="is a directory"):
        look_at(tmp_path, tmp_path, NOW)


def test_what_openssl_refuses(look):
    """What could be read, and OpenSSL does not take, is told before a worker tries."""
    weak = rsa.generate_private_key(65_537, 1_024)
    with pytest.raises(Wrong, match=r"OpenSSL refuses it \(ee key too small\)"):
        look(certificate(key=weak), pem(weak))


HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8)).map(
        lambda change: GOOD[: change[0]] + change[1] + GOOD[change[0] + len(change[1]) :]
    ),
    st.binary(max_size=200).map(lambda der: x509_pem(b"CERTIFICATE", der)),
    st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)).map(
        lambda change: x509_pem(b"CERTIFICATE", broken(*change))
    ),
)


def x509_pem(label, der):
    """Return bytes as PEM."""
    import base64

    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, base64.encodebytes(der).strip(), label)


def broken(place, change):
    """Return a certificate's DER with some bytes changed."""
    der = x509.load_pem_x509_certificate(GOOD).public_bytes(Encoding.DER)
    return der[:place] + change + der[place + len(change) :]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cert=HOSTILE)
def test_hostile_certificates(look, cert):
    """Any bytes are a certificate or one mistake; nothing else escapes, and no password is asked for."""
    try:
        said = look(cert).not_after
    except Wrong as wrong:
        said = wrong.what
    assert said


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 240), change=st.binary(min_size=1, max_size=4))
def test_hostile_keys(look, place, change):
    """Any bytes are the certificate's key or one mistake."""
    key = pem()
    try:
        said = look(GOOD, key[:place] + change + key[place + len(change) :]).not_after
    except Wrong as wrong:
        said = wrong.what
    assert said


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "no such file"), (b"", "holds no certificates"), (b"\xff" * 50, "holds no certificates"), (GOOD, "")],
)
def test_authorities(tmp_path, content, what):
    """A file of authorities holds at least one that OpenSSL can read."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    if not what:
        check_authorities(path)
        return
    with pytest.raises(Wrong, match=what):
        check_authorities(path)


def test_ciphers():
    """OpenSSL must know one of the ciphers at least."""
    check_ciphers("ECDHE+AESGCM:NONSENSE")
    with pytest.raises(Wrong, match="OpenSSL knows none"):
        check_ciphers("NONSENSE")


def test_only_who_needs_it_loads_it():
    """A configuration without certificates loads no library for them: the command line starts as fast as before."""
    code = "import sys, penstock.config.load; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert "cryptography" not in loaded.stdout.split()
