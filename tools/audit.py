"""Ask OSV (https://osv.dev) for known vulnerabilities of ``constraints.txt``: ``make audit``.

One request names every package and version. Returns 1 if there are any, and 0 with the reason
where the service cannot be reached. Needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICE = "https://api.osv.dev/v1/querybatch"
SECONDS = 30


def queries(constraints: str) -> list[dict[str, Any]]:
    """One query for each ``name==version``; a local version such as ``2.1+cpu`` counts as 2.1."""
    pins = [line.strip().split("==") for line in constraints.splitlines() if "==" in line]
    return [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version.partition("+")[0]}
        for name, version in pins
    ]


def ask(asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The service's answers, in the order of the queries."""
    body = json.dumps({"queries": asked}).encode()
    request = urllib.request.Request(SERVICE, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        results: list[dict[str, Any]] = json.loads(answer.read())["results"]
    return results


def main() -> int:
    """Command line."""
    asked = queries((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    try:
        answers = ask(asked)
    except (OSError, ValueError, KeyError) as error:
        print(f"make audit: skipped, {SERVICE} gave no answer: {error}", file=sys.stderr)
        return 0
    found = 0
    for query, answer in zip(asked, answers, strict=True):
        for known in answer.get("vulns", ()):
            found += 1
            name, version = query["package"]["name"], query["version"]
            print(f"{name}=={version}: https://osv.dev/vulnerability/{known['id']}")
    print(f"make audit: {len(asked)} packages, {found} known vulnerabilities.")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
