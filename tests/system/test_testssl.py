"""testssl.sh against a listener that terminates TLS: minutes long, so it runs where `make testssl` asks for it."""

import json
import os
import subprocess

import pytest

from penstock.testing.certificates import Authority
from penstock.testing.nodes import running, table
from penstock.testing.peers import echo, serving

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not os.environ.get("PENSTOCK_TESTSSL"), reason="runs for minutes; make testssl runs it"),
    pytest.mark.needs("testssl"),
]

MINUTES_S = 900

FINE = ("OK", "INFO", "LOW", "DEBUG")

OF_THE_CERTIFICATE = ("cert_revocation", "cert_extlifeSpan", "cert_expirationStatus", "cert_validityPeriod")
"""What it says of how a certificate was issued; that of the tests names nobody who could revoke it."""


def test_no_finding_above_low(tmp_path):
    """Of protocols, ciphers, handshakes and known attacks nothing is worse than LOW, and all could be tried."""
    authority, report = Authority(tmp_path), tmp_path / "report.json"
    pair = authority.issue("localhost", "127.0.0.1")
    more = f'certificates = [{{ cert = "{pair.cert}", key = "{pair.key}" }}]\n'
    with serving(echo) as target, running(table("tls", "tls", target.port) + more) as node:
        _, port = node.address("tls")
        asked = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1"]
        asked += ["--add-ca", authority.file, "--jsonfile", str(report), f"localhost:{port}"]
        subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=MINUTES_S, check=False)
    findings = json.loads(report.read_text())
    assert {"TLS1_2", "TLS1_3", "heartbleed", "secure_renego"} <= {each["id"] for each in findings}
    bad = [each for each in findings if each["severity"] not in FINE and each["id"] not in OF_THE_CERTIFICATE]
    assert not bad, bad
