"""The conda environments: rendered from ``pyproject.toml``, under the names of conda-forge."""

from __future__ import annotations

import pytest
import yaml

from tools import environment

PYPROJECT = (environment.ROOT / "pyproject.toml").read_text(encoding="utf-8")
RENDERED = environment.rendered(PYPROJECT)


def test_all_requirements_and_the_package_are_in_it() -> None:
    text = environment.render(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["b>=2", "torch>=2.4"]\n'
        '[project.optional-dependencies]\nbook = ["C>=1,<2"]\n'
        'test = ["a>=3; python_version < \'3.14\'", "POT>=1"]\n',
        ("book", "test"),
        ["--editable ."],
        "for a test",
    )
    assert yaml.safe_load(text)["dependencies"] == [
        "python >=3.11",
        "pot >=1",
        "pytorch >=2.4",
        "pip",
        {"pip": ["a>=3; python_version < '3.14'", "b>=2", "C>=1,<2", "--editable ."]},
    ]
    for refused in ("torch>=2; python_version < '3.14'", "a[b]>=3"):
        with pytest.raises(ValueError, match="has extras or a marker"):
            environment.rows([refused])


@pytest.mark.parametrize("name", RENDERED)
def test_the_committed_file_is_the_rendered_one(name: str) -> None:
    assert (environment.ROOT / name).read_text(encoding="utf-8") == RENDERED[name]


def test_binder_has_all_that_the_package_needs_and_installs_the_package_last() -> None:
    import tomllib

    found = yaml.safe_load(RENDERED[".binder/environment.yml"])["dependencies"]
    python, *conda, last = found
    assert python == "python =3.12"
    assert len(conda) - 1 + len(last["pip"]) == len(
        tomllib.loads(PYPROJECT)["project"]["dependencies"]
    )
    script = environment.ROOT / ".binder" / "postBuild"
    assert script.stat().st_mode & 0o111
    assert script.read_text(encoding="utf-8").endswith("python -m pip install --no-deps .\n")
