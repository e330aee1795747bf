"""``environment.yml``: rendered from ``pyproject.toml``."""

from __future__ import annotations

from tools import environment


def test_all_requirements_and_the_package_are_in_it() -> None:
    text = environment.render(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["b>=2"]\n'
        '[project.optional-dependencies]\nbook = ["C>=1,<2"]\ntest = ["a>=3"]\n'
    )
    rows = [line.strip() for line in text.splitlines()]
    assert rows[-4:] == ['- "a>=3"', '- "b>=2"', '- "C>=1,<2"', "- --editable ."]
    assert "- python >=3.11" in rows


def test_the_committed_file_is_the_rendered_one() -> None:
    pyproject = (environment.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rendered = (environment.ROOT / "environment.yml").read_text(encoding="utf-8")
    assert rendered == environment.render(pyproject)
