"""``load`` knows every model that can be saved, and faces of the models load nothing until used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from scstlib.models.files import SavedModel
from scstlib.models.loading import MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_class_that_a_file_may_name_is_where_it_is_looked_for(name):
    model = getattr(import_module(MODULES[name]), name)
    assert issubclass(model, SavedModel)
    assert model.__name__ == name


def test_every_class_that_can_be_saved_can_be_loaded():
    for module in MODULES.values():
        import_module(module)
    assert leaves(SavedModel) == set(MODULES)


def leaves(kind: type) -> set[str]:
    """Names of the package's classes below a class that no other class of it extends."""
    below = [each for each in kind.__subclasses__() if each.__module__.startswith("scstlib.")]
    return set().union(*map(leaves, below)) if below else {kind.__name__}


FACES = ("scstlib.models", "scstlib.models.spatial", "scstlib.models.temporal")


@pytest.mark.parametrize("face", FACES)
def test_a_face_shows_its_names_and_imports_nothing_heavy(face):
    code = (
        f"import sys, {face} as face; assert face.__all__ and set(face.__all__) == set(dir(face));"
        "assert not {'torch', 'sklearn', 'scanpy', 'anndata'} & set(sys.modules);"
        "print(*[n for n in face.__all__ if getattr(face, n) is None])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("family", ["spatial", "temporal"])
def test_methods_is_the_function_whatever_was_imported_before(family):
    code = (
        f"import scstlib.models.{family}.methods; from scstlib.models.{family} import methods;"
        "print(len(methods()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 7
