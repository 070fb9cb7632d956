"""What Kubernetes puts into every container for each Service of the namespace: its *service links*.

A Service called ``evenhand`` gives ``EVENHAND_PORT=tcp://10.0.0.7:8000``, which looks like a setting, and more names
that look like mistyped ones; one called ``evenhand-metrics`` gives ``EVENHAND_METRICS_PORT``. They are known by name
and value together: a name of that form with any other value is a setting, or a mistake.

Source: Kubernetes, *Discovering services*; the names are those of Docker's container links.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

_NUMBER = r"[0-9]{1,5}"
_PROTOCOL = "tcp|udp|sctp"
_FORMS = [
    (re.compile(rf"{name}", re.IGNORECASE), re.compile(value))
    for name, value in (
        (r".+_SERVICE_HOST", r"(?P<ip>.+)"),
        (r".+_SERVICE_PORT(_[A-Z0-9_]+)?", _NUMBER),
        (r".+_PORT", rf"({_PROTOCOL})://(?P<ip>.+):{_NUMBER}"),
        (rf".+_PORT_{_NUMBER}_(TCP|UDP|SCTP)", rf"({_PROTOCOL})://(?P<ip>.+):{_NUMBER}"),
        (rf".+_PORT_{_NUMBER}_(TCP|UDP|SCTP)_PROTO", _PROTOCOL),
        (rf".+_PORT_{_NUMBER}_(TCP|UDP|SCTP)_PORT", _NUMBER),
        (rf".+_PORT_{_NUMBER}_(TCP|UDP|SCTP)_ADDR", r"(?P<ip>.+)"),
    )
]


def is_service_link(name: str, value: str | None) -> bool:
    """Whether a variable of the environment is one of these."""
    for named, valued in _FORMS:
        if named.fullmatch(name) and (found := valued.fullmatch(value or "")):
            return _is_address(found.groupdict().get("ip"))
    return False


def _is_address(text: str | None) -> bool:
    """An IP address, in brackets where it is one of IPv6 before a port; or none asked for."""
    if text is None:
        return True
    try:
        ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
