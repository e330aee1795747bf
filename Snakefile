# The graph of work: key of a page -> executed copy -> book. `make book` runs it through
# tools/build.py, which writes the keys first; see tools/notebooks.py for what a key holds.
import sys

sys.path.insert(0, workflow.basedir)
from tools.notebooks import names

NAMES = names()


rule all:
    input:
        "_build/html/.complete",


rule notebook:
    input:
        "_build/keys/{name}.json",
    output:
        "_build/executed/{name}.ipynb",
    threads: 1
    shell:
        "{sys.executable:q} -m tools.execute {wildcards.name:q}"


rule book:
    input:
        expand("_build/executed/{name}.ipynb", name=NAMES),
        "_build/keys/book.json",
    output:
        touch("_build/html/.complete"),
    shell:
        "{sys.executable:q} -m tools.render"
