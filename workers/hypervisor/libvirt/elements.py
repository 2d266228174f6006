"""XML elements, built and never pasted together, so that no text can break out of its place."""

from lxml import etree


def add(
    parent: etree._Element, tag: str, text: str | None = None, **attributes: str
) -> etree._Element:
    """Add an element to the parent, and return it."""
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element
