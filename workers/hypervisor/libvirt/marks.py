"""Our marks in a domain's metadata: who made it, and whether it was put out of action.

libvirt keeps them with the domain's definition, so that they outlast this process. A domain that
is defined anew by a server's run is no longer in quarantine.
"""

import libvirt
from lxml import etree

from workers.hypervisor.libvirt.domain_xml import METADATA_PREFIX, NAMESPACE
from workers.hypervisor.libvirt.errors import has_code

#: One element of each namespace is all that libvirt keeps, so this is one of its own.
_QUARANTINE_NAMESPACE = "urn:byre:quarantine:1"


def mark_of(handle: libvirt.virDomain) -> dict[str, str] | None:
    """Return the fields of our mark, or None for a domain that is not ours. Raises libvirtError."""
    mark = _element(handle, NAMESPACE)
    if mark is None:
        return None
    return {etree.QName(child).localname: child.text or "" for child in mark}


def is_ours(handle: libvirt.virDomain) -> bool:
    """Say whether the domain is a server's: a copy that an operator made of one has the mark, but
    an id of its own. Raises libvirtError."""
    mark = mark_of(handle)
    return mark is not None and mark.get("id") == handle.UUIDString()


def is_quarantined(handle: libvirt.virDomain) -> bool:
    """Say whether the domain was put out of action. Raises libvirtError."""
    return _element(handle, _QUARANTINE_NAMESPACE) is not None


def mark_quarantined(handle: libvirt.virDomain) -> None:
    """Note that the (stopped) domain was put out of action. Raises libvirtError."""
    handle.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT,
        "<quarantine/>",
        f"{METADATA_PREFIX}-quarantine",
        _QUARANTINE_NAMESPACE,
        libvirt.VIR_DOMAIN_AFFECT_CONFIG,
    )


def _element(handle: libvirt.virDomain, namespace: str) -> etree._Element | None:
    try:
        text = handle.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace, 0)
    except libvirt.libvirtError as error:
        if has_code(error, libvirt.VIR_ERR_NO_DOMAIN_METADATA):
            return None
        raise
    return etree.fromstring(text)
