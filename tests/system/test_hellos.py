"""What real TLS clients say first, caught on loopback: openssl, curl and, where it is installed, Chromium."""

import contextlib
import shutil
import socket
import subprocess

import pytest

from penstock.protocols.client_hello import HelloReader

pytestmark = pytest.mark.system

SECONDS = 30
"""Longest that a client may take to say its first word; Chromium starts in two or three."""

NAME = "www.example.org"


@contextlib.contextmanager
def door():
    """A socket on loopback where a client's first flight is caught."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        yield listening


def caught(listening, command):
    """The hello and its bytes that `command` says on its first connection."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(SECONDS)
                reader, data = HelloReader(), b""
                while isinstance(hello := reader.look(data), int):
                    piece = connection.recv(hello - len(data))  # no byte more than it wished for
                    assert piece, "the client closed before its hello was whole"
                    data += piece
                return hello, data
        finally:
            process.kill()


def openssl(listening, *options):
    """What `openssl s_client` says with these options."""
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    return caught(listening, ["openssl", "s_client", "-connect", address, *options])


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("options", "name", "alpn", "version"),
    [
        (["-servername", NAME], NAME, (), 0x0304),
        (["-servername", NAME, "-tls1_2"], NAME, (), 0x0303),
        (["-servername", NAME, "-tls1_3", "-alpn", "h2,http/1.1"], NAME, (b"h2", b"http/1.1"), 0x0304),
        (["-servername", "WWW.EXAMPLE.ORG", "-alpn", "acme-tls/1"], NAME, (b"acme-tls/1",), 0x0304),
        (["-noservername"], None, (), 0x0304),
        (["-servername", NAME, "-tls1_2", "-no_ticket", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], NAME, (), 0x0303),
        (["-servername", NAME, "-split_send_frag", "512", "-max_send_frag", "512"], NAME, (), 0x0304),
    ],
)  # fmt: skip
def test_openssl(options, name, alpn, version):
    """Its versions, protocols and names, with and without each."""
    with door() as listening:
        hello, _ = openssl(listening, *options)
    assert (hello.server_name, hello.alpn, hello.version, hello.has_ech) == (name, alpn, version, False)


@pytest.mark.needs("openssl")
def test_openssl_in_many_records():
    """With fragments of 512 bytes and a list of protocols of a kilobyte, the hello comes in several records."""
    offered = [f"a-protocol-{number:03}" for number in range(80)]
    with door() as listening:
        hello, data = openssl(
            listening,
            "-servername",
            NAME,
            "-alpn",
            ",".join(offered),
            "-max_send_frag",
            "512",
            "-split_send_frag",
            "512",
        )
    assert data.count(b"\x16\x03\x01\x02\x00") >= 2
    assert (hello.server_name, hello.alpn) == (NAME, tuple(name.encode() for name in offered))


@pytest.mark.needs("curl")
@pytest.mark.parametrize(("options", "version"), [(["--tlsv1.3"], 0x0304), (["--tls-max", "1.2"], 0x0303)])
def test_curl(options, version):
    """curl asks for the name in the URL, and for HTTP/1.1 where it may have no other."""
    with door() as listening:
        port = listening.getsockname()[1]
        hello, _ = caught(
            listening,
            ["curl", "-s", "--http1.1", *options, "--resolve", f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/"],
        )
    assert (hello.server_name, hello.alpn, hello.version) == (NAME, (b"http/1.1",), version)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed, and too large to ask for")
def test_chromium(tmp_path):
    """A browser's hello: GREASE all over, a post-quantum share, and something that looks like an encrypted hello."""
    with door() as listening:
        port = listening.getsockname()[1]
        hello, data = caught(
            listening,
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
                f"--host-resolver-rules=MAP {NAME} 127.0.0.1", f"https://{NAME}:{port}/",
            ],
        )  # fmt: skip
    assert (hello.server_name, hello.version, hello.has_ech) == (NAME, 0x0304, True)
    assert b"http/1.1" in hello.alpn
    assert len(data) > 1_500
