"""docs/microversions.md tells the table of gates as it is. After a wanted change write it anew with
`python -m tests.structure.test_gates`."""

from pathlib import Path

from app.api.gates import Gate

PAGE = Path(__file__).parents[2] / "docs" / "microversions.md"
_BEGIN = "| Version | What it changes here |\n| --- | --- |\n"


def written(page: str) -> str:
    """Return the page with the table of the code."""
    head, _, rest = page.partition(_BEGIN)
    _, _, tail = rest.partition("\n\n")
    rows = "\n".join(f"| {gate.text} | {gate.what} |" for gate in Gate)
    return f"{head}{_BEGIN}{rows}\n\n{tail}"


def test_the_page_tells_every_gate() -> None:
    page = PAGE.read_text()

    assert page == written(page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
