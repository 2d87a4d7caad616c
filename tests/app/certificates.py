"""A certificate authority and a server's certificate, made by openssl for one test."""

import subprocess
from pathlib import Path


def make_certificates(folder: Path, name: str = "replica.test") -> tuple[Path, Path, Path]:
    """CA, server certificate and its key, for `name` and for no IP address."""
    ca, ca_key, csr, cert, key = (folder / f for f in ("ca.pem", "ca.key", "s.csr", "s.pem", "s.key"))
    extensions = folder / "ext"
    extensions.write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl("req", "-x509", *curve, "-subj", "/CN=test authority", "-days", "2", "-keyout", ca_key, "-out", ca)
    _openssl("req", *curve, "-subj", f"/CN={name}", "-keyout", key, "-out", csr)
    signing = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile", extensions)
    _openssl("x509", "-req", "-in", csr, *signing, "-out", cert)
    return ca, cert, key


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
