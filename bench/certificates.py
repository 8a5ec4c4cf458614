"""The certificate of a run: P-256, made by openssl, the same for everybody who speaks TLS in it."""

import functools
import subprocess
import tempfile
from pathlib import Path

from bench.scenarios import SERVED


@functools.cache
def pair() -> str:
    """Return a certificate and its key as PEM, in this order; made once in a process."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as directory:
        cert, key = Path(directory, "cert.pem"), Path(directory, "key.pem")
        asked = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN={SERVED}", "-addext", f"subjectAltName=DNS:{SERVED}",
            "-keyout", str(key), "-out", str(cert),
        ]  # fmt: skip
        subprocess.run(asked, check=True, capture_output=True, timeout=30)
        return cert.read_text() + key.read_text()
