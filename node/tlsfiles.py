"""The files of TLS, looked at before anything is served: a wrong one would else end the node when it first calls."""

from __future__ import annotations

import ssl
from pathlib import Path

from node.config import ConfigBroken


def check_tls_files(*, tls_cert: Path | None, tls_key: Path | None, tls_ca: Path | None) -> None:
    """See that each file holds what its setting says, and that key and certificate belong together.

    Raises: ConfigBroken, which names the setting and the file.
    """
    if tls_ca is not None:
        _check_certificates("tls_ca", tls_ca)
    if tls_cert is not None:
        _check_certificates("tls_cert", tls_cert)
        _check_key(tls_cert, tls_key)
    elif tls_key is not None:
        raise ConfigBroken(path=tls_key, reason="tls_key: there is no tls_cert that it would belong to")


def _check_certificates(setting: str, path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=str(path))
    except ssl.SSLError as cause:
        raise ConfigBroken(path=path, reason=f"{setting}: it holds no certificate in PEM form") from cause
    except OSError as cause:
        raise ConfigBroken(path=path, reason=f"{setting}: {cause.strerror}") from cause


def _check_key(tls_cert: Path, tls_key: Path | None) -> None:
    path = tls_key or tls_cert  # one file may hold both
    setting = "tls_key" if tls_key else "tls_cert"
    try:
        with path.open("rb"):
            pass
        # A passphrase would be asked for at a terminal, and a service has none.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls_cert, path, password=lambda: "")
    except ssl.SSLError as cause:
        reason = "it holds no private key in PEM form, or one under a passphrase"
        if cause.reason == "KEY_VALUES_MISMATCH":
            reason = f"it does not belong to the certificate in {tls_cert}"
        raise ConfigBroken(path=path, reason=f"{setting}: {reason}") from cause
    except OSError as cause:
        raise ConfigBroken(path=path, reason=f"{setting}: {cause.strerror}") from cause
